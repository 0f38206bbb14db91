"""What the suite assumes of the program beyond the AWS KMS API.

Every name of a flag, subcommand, setting or path stands here once, so that a renamed flag is a
change of one line and a reader sees the whole assumption on one page.
"""

import re

READY = re.compile(
    r"keystead (?:dev|serve) ready on https?://127\.0\.0\.1:(?P<port>\d+) "
    r"\(admin http://127\.0\.0\.1:(?P<admin>\d+)\), data in (?P<data>[^,\n]+)"
)

# Flag, environment variable and key in the configuration file (TOML) of each setting.
SETTINGS = {
    "listen": ("--listen", "KEYSTEAD_LISTEN", "listen"),
    "admin": ("--admin-listen", "KEYSTEAD_ADMIN_LISTEN", "admin_listen"),
    "data": ("--data-dir", "KEYSTEAD_DATA_DIR", "data_dir"),
    "root_key": ("--root-key-file", "KEYSTEAD_ROOT_KEY_FILE", "root_key_file"),
    "config": ("--config", "KEYSTEAD_CONFIG", None),
}
ALLOW_REMOTE = "--insecure-allow-remote"
SM2_EVERYWHERE = "--sm2-everywhere"
PASSPHRASE = "--root-passphrase-file"
LOG_EVERYTHING = {"KEYSTEAD_LOG_LEVEL": "trace"}


def dev(data_dir, listen="127.0.0.1:0", admin="127.0.0.1:0"):
    return ["dev", "--listen", listen, "--admin-listen", admin, "--data-dir", str(data_dir)]


def serve(config, *rest, listen="127.0.0.1:0", admin="127.0.0.1:0"):
    return ["serve", "--config", str(config), "--listen", listen, "--admin-listen", admin, *rest]


def init(folder, account):
    """Makes the files below in a folder."""
    return ["init", str(folder), "--account", account]


CONFIG, IDENTITIES, CREDENTIALS, ROOT_KEY_FILE, DATA = (
    "keystead.toml", "identities.toml", "credentials", "root-key", "data",
)  # fmt: skip
PLAIN_HTTP = "--insecure-allow-plain-http"


def create_access_key(config, identities, account, user):
    """Online: the server may be running."""
    return [
        "identity", "create-access-key", "--config", str(config), "--file", str(identities),
        "--account", account, "--user", user,
    ]  # fmt: skip


def tls(certificate, key):
    return ["--tls-cert", str(certificate), "--tls-key", str(key)]


def backup(data_dir, file):
    """Online: the server may be running. Needs no root key."""
    return ["backup", "--data-dir", str(data_dir), "--to", str(file)]


def restore(file, data_dir):
    return ["restore", "--from", str(file), "--data-dir", str(data_dir)]


def rotate_domain_key(data_dir, root_key):
    """Offline: the server is stopped."""
    return [
        "domain-key", "rotate",
        "--data-dir", str(data_dir), "--root-key-file", str(root_key),
    ]  # fmt: skip


def rewrap_root_key(data_dir, old, new):
    """Offline. Makes the new root key file, which must not exist."""
    return [
        "root-key", "rewrap",
        "--data-dir", str(data_dir), "--root-key-file", str(old), "--new-root-key-file", str(new),
    ]  # fmt: skip


def explain(admin, principal, action, *rest):
    """Asks the server. Status 0: allowed, 1: denied, 2: no answer."""
    return ["explain", "--admin", admin, "--principal", principal, "--action", action, *rest]


# Admin listener.
LIVE, READY_PATH, METRICS, CLOCK = "/livez", "/readyz", "/metrics", "/clock"
EXPLAIN = "/explain"
# Main listener, unsigned.
HEALTH = "/healthz"
# Smallest request body that must be accepted, and one that must be refused with 413.
BODY_ACCEPTED, BODY_REFUSED = 1 << 20, 10 << 20
