"""What must hold among the records of a store, whatever happened to it: read from its files by the
second reader of docs/formats.md, while no server has them open."""

import json
import shutil


def copied(data, folder):
    """The store's files as a kill left them; a copy, since opening a log completes it."""
    shutil.copytree(data, folder)
    (folder / "keystead.db-shm").unlink(missing_ok=True)
    return folder / "keystead.db"


def path(*parts):
    return "/".join(str(part) for part in parts).encode()


def material_name(entry):
    imported = entry.get("imported")
    if imported is None or (imported["generation"] == 0 and "region" not in imported):
        return entry["id"]
    parts = [entry["id"], str(imported["generation"]), imported.get("region")]
    return ".".join(part for part in parts if part)


def check(reader):
    """Asserts that every record, counter and index fits the others. Answers the keys by place."""
    keys, expected = {}, {}
    for at in reader.under(b"key/"):
        key = reader.record(at)
        assert at == path("key", key["account"], key["region"], key["id"])
        keys[key["account"], key["region"], key["id"]] = key
    for place, key in keys.items():
        check_key(reader, keys, place, key, expected)
    for at in reader.under(b"alias/"):
        account, region, name = at.decode().removeprefix("alias/").split("/", 2)
        target = reader.record(at)["target"]
        assert (account, region, target) in keys, at
        expected[path("key-alias", account, region, target, name)] = b""
    for at in reader.under(b"grant/"):
        check_grant(reader, keys, at, expected)
    for prefix in (b"key-alias/", b"grantee/", b"retirable/", b"grant-name/", b"material/"):
        for at in reader.under(prefix):
            assert at in expected, f"{at}: of nothing"
            content = expected.pop(at)
            assert content is None or reader.rows[at] == content, at
    assert not expected, f"missing: {list(expected)}"
    for prefix in (b"policy/", b"usage/"):
        for at in reader.under(prefix):
            reader.record(at)
            assert b"key/" + at.removeprefix(prefix) in reader.rows, at
    for at in reader.under(b"ref/"):
        reference = reader.record(at)
        held = [(reference["account"], region, at[4:].decode()) for region in reference["regions"]]
        assert held and all(place in keys for place in held), at
    return keys


def check_key(reader, keys, place, key, expected):
    def count(prefix):
        return len(reader.under(path(prefix, *place, "")))

    assert (key["grants"], key["aliases"]) == (count("grant"), count("key-alias")), place
    assert path("policy", *place) in reader.rows, place
    account, region, key_id = place
    regions = [region]
    if all_regions := key.get("multi_region"):
        regions = [all_regions["primary"], *all_regions["replicas"]]
        assert region in regions and len(set(regions)) == len(regions), place
        for other in regions:
            other = keys[account, other, key_id]
            assert other["multi_region"] == all_regions, place
            assert shared(other) == shared(key), place
    reference = reader.record(path("ref", key_id))
    assert reference["account"] == account
    assert sorted(reference["regions"]) == sorted(regions), place
    materials = key.get("materials", [])
    assert sum(entry["current"] for entry in materials) == (1 if materials else 0), place
    for entry in materials:
        if entry.get("imported", {"present": True})["present"]:
            expected[path("material", account, key_id, material_name(entry))] = None
    deletion = key["state"].get("deletion")
    if deletion is not None:
        assert path("due", f"{deletion:016x}", *place) in reader.rows, place


def shared(key):
    return [
        (entry["id"], entry["current"], entry.get("imported", {}).get("pending"))
        for entry in key.get("materials", [])
    ]


def check_grant(reader, keys, at, expected):
    grant = reader.record(at)
    account, region, key, grant_id = at.decode().removeprefix("grant/").split("/")
    assert (account, region, key) in keys, at
    expected[path("grantee", account, region, key, f"{grant['grantee']}|{grant_id}")] = b""
    if retiring := grant.get("retiring"):
        expected[path("retirable", region, f"{retiring}|{account}", key, grant_id)] = b""
    if "name" in grant:
        named = path("grant-name", account, region, key, fingerprint(reader, grant))
        assert named not in expected, at
        expected[named] = grant_id.encode()


def fingerprint(reader, grant):
    members = ("grantee", "retiring", "issuer", "operations", "equals", "subset", "name", "created")
    same = {member: grant[member] for member in members if member in grant} | {"created": 0}
    for constraint in ("equals", "subset"):
        if constraint in same:
            same[constraint] = dict(sorted(same[constraint].items(), key=lambda p: p[0].encode()))
    text = json.dumps(same, ensure_ascii=False, separators=(",", ":"))
    return reader.tag(b"grant-name", text.encode()).hex()
