//! What the program prints when it is ready.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::Running;
use crate::config::Config;

/// The account of the printed commands: a 12-digit access key names the account.
const ACCOUNT: &str = "111122223333";

/// The ready line and, where any credentials are accepted, three commands, in this order and each whole,
/// so that they work when pasted.
#[must_use]
pub fn greeting(config: &Config, running: &Running) -> String {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", reachable(running.address));
    let command = if config.serve { "serve" } else { "dev" };
    let ready = format!(
        "keystead {command} ready on {url} (admin http://{admin}), data in {data}, {root}\n",
        admin = reachable(running.admin_address),
        data = config.data_dir.display(),
        root = match &config.root_passphrase_file {
            Some(file) => format!("root key sealed by the passphrase in {}", file.display()),
            None => format!("root key in {}", config.root_key_file.display()),
        },
    );
    if let Some(file) = &config.identities {
        return format!("{ready}signatures are verified against {}\n", file.display());
    }
    let mut aws = format!(
        "AWS_ACCESS_KEY_ID={ACCOUNT} AWS_SECRET_ACCESS_KEY=any AWS_DEFAULT_REGION=us-east-1 AWS_PAGER= \
         aws --endpoint-url {url}"
    );
    if let Some(tls) = &config.tls {
        // Whoever pastes the command may stand in another directory than this program.
        let certificate =
            std::path::absolute(&tls.certificate).unwrap_or_else(|_| tls.certificate.clone());
        aws.push_str(&format!(" --ca-bundle {}", quoted(&certificate.display().to_string())));
    }
    format!(
        "{ready}\n\
         {aws} kms create-key --description 'my first key'\n\
         \n\
         {aws} kms list-keys\n\
         \n\
         {aws} kms generate-data-key-pair --key-pair-spec ECC_NIST_P256 \
         --key-id \"$({aws} kms list-keys --query 'Keys[0].KeyId' --output text)\"\n",
    )
}

/// An address that a client on this machine can connect to.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => {
            SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port())
        }
        IpAddr::V6(ip) if ip.is_unspecified() => {
            SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port())
        }
        _ => address,
    }
}

/// Quoted for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn unspecified_addresses_are_reached_by_loopback() {
        for (given, wanted) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.7:1", "192.0.2.7:1")]
        {
            assert_eq!(reachable(given.parse().unwrap()).to_string(), wanted);
        }
    }

    #[test]
    fn quotes_survive_a_shell() {
        assert_eq!(quoted("/a b/it's"), r"'/a b/it'\''s'");
    }
}
