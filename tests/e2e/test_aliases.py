"""Aliases and lists: names, targets, order, pages and markers."""

import datetime
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

import support
from support import alias_arn, create, own_aliases, refused

PREFIX = (
    'Alias must start with the prefix "alias/". Please see '
    "https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html"
)


def test_an_alias_from_birth_to_death(kms, account):
    first, second = create(kms), create(kms)
    assert support.body(kms.create_alias(AliasName="alias/a", TargetKeyId=first["KeyId"])) == {}
    assert support.members(kms.list_aliases()) == {"Aliases", "Truncated"}
    (entry,) = own_aliases(kms)
    assert set(entry) == {
        "AliasName", "AliasArn", "TargetKeyId", "CreationDate", "LastUpdatedDate",
    }  # fmt: skip
    assert entry["AliasName"] == "alias/a"
    assert entry["AliasArn"] == alias_arn(account, "alias/a")
    assert entry["TargetKeyId"] == first["KeyId"]
    assert entry["CreationDate"] == entry["LastUpdatedDate"]
    assert abs(entry["CreationDate"] - first["CreationDate"]) < datetime.timedelta(minutes=5)

    assert support.body(kms.update_alias(AliasName="alias/a", TargetKeyId=second["Arn"])) == {}
    (moved,) = own_aliases(kms)
    assert moved["TargetKeyId"] == second["KeyId"]
    assert moved["CreationDate"] == entry["CreationDate"]
    assert moved["LastUpdatedDate"] > entry["LastUpdatedDate"]
    assert kms.list_aliases(KeyId=first["KeyId"])["Aliases"] == []
    assert kms.list_aliases(KeyId=second["Arn"])["Aliases"] == [moved]

    assert support.body(kms.delete_alias(AliasName="alias/a")) == {}
    assert own_aliases(kms) == []
    refused(kms.delete_alias, "NotFoundException",
            f"Alias {alias_arn(account, 'alias/a')} is not found.", AliasName="alias/a")  # fmt: skip


def test_names(kms, key):
    names = ["alias/" + "x" * 250, "alias/A-b_c/D", "alias/a/", "alias/_", "alias/-", "alias/aws",
             "alias/awsfoo", "alias/a", "alias/A"]  # fmt: skip
    for name in names:
        kms.create_alias(AliasName=name, TargetKeyId=key["KeyId"])
        assert kms.describe_key(KeyId=name)["KeyMetadata"]["KeyId"] == key["KeyId"]
    assert [entry["AliasName"] for entry in own_aliases(kms)] == sorted(names)


@pytest.mark.parametrize("operation", ["create_alias", "update_alias", "delete_alias"])
def test_bad_names(kms, key, account, operation):
    method = getattr(kms, operation)
    target = {} if operation == "delete_alias" else {"TargetKeyId": key["KeyId"]}
    for name in ("noprefix", "Alias/a", "aliases/a", "alias", key["KeyId"]):
        refused(method, "ValidationException", PREFIX, AliasName=name, **target)
    pattern = (
        "1 validation error detected: Value 'alias/my-alias!' at 'aliasName' failed to satisfy "
        "constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9:/_-]+$"
    )
    refused(method, "ValidationException", pattern, AliasName="alias/my-alias!", **target)
    refused(method, "NotAuthorizedException", "", AliasName="alias/aws/mine", **target)
    refused(
        method, "ValidationException", PREFIX, AliasName=alias_arn(account, "alias/a"), **target
    )
    assert own_aliases(kms) == []


def test_create_errors(kms, account, key):
    colon = "alias/my:alias contains invalid characters for an alias"
    refused(kms.create_alias, "ValidationException", colon,
            AliasName="alias/my:alias", TargetKeyId=key["KeyId"])  # fmt: skip
    kms.create_alias(AliasName="alias/a", TargetKeyId=key["KeyId"])
    refused(kms.create_alias, "AlreadyExistsException",
            f"An alias with the name {alias_arn(account, 'alias/a')} already exists",
            AliasName="alias/a", TargetKeyId=key["KeyId"])  # fmt: skip
    refused(kms.create_alias, "ValidationException", "Aliases must refer to keys. Not aliases",
            AliasName="alias/b", TargetKeyId="alias/a")  # fmt: skip
    missing = f"Key '{support.key_arn(account, support.ABSENT_KEY)}' does not exist"
    for method in (kms.create_alias, kms.update_alias):
        name = "alias/a" if method == kms.update_alias else "alias/new"
        refused(method, "NotFoundException", missing,
                AliasName=name, TargetKeyId=support.ABSENT_KEY)  # fmt: skip
    foreign = support.new_account()
    refused(kms.create_alias, "AccessDeniedException", None, AliasName="alias/b",
            TargetKeyId=support.key_arn(foreign, support.ABSENT_KEY))  # fmt: skip
    refused(kms.update_alias, "NotFoundException",
            f"Alias {alias_arn(account, 'alias/none')} is not found.",
            AliasName="alias/none", TargetKeyId=key["KeyId"])  # fmt: skip
    assert len(own_aliases(kms)) == 1


def test_states_of_targets(kms, key):
    """Creating needs a target not pending deletion; moving asks that of the new target alone."""
    kms.create_alias(AliasName="alias/a", TargetKeyId=key["KeyId"])
    doomed = create(kms)
    kms.create_alias(AliasName="alias/doomed", TargetKeyId=doomed["KeyId"])
    kms.schedule_key_deletion(KeyId=doomed["KeyId"])
    pending = f"{doomed['Arn']} is pending deletion."
    refused(kms.create_alias, "KMSInvalidStateException", pending,
            AliasName="alias/b", TargetKeyId=doomed["KeyId"])  # fmt: skip
    refused(kms.update_alias, "KMSInvalidStateException", pending,
            AliasName="alias/a", TargetKeyId=doomed["KeyId"])  # fmt: skip
    kms.update_alias(AliasName="alias/doomed", TargetKeyId=key["KeyId"])
    kms.disable_key(KeyId=key["KeyId"])
    kms.create_alias(AliasName="alias/c", TargetKeyId=key["KeyId"])
    for name in ("alias/a", "alias/c", "alias/doomed"):
        kms.delete_alias(AliasName=name)


def test_fifty_aliases_per_key(kms, key):
    for n in range(50):
        kms.create_alias(AliasName=f"alias/{n}", TargetKeyId=key["KeyId"])
    refused(kms.create_alias, "LimitExceededException", None,
            AliasName="alias/50", TargetKeyId=key["KeyId"])  # fmt: skip
    other = create(kms)
    kms.create_alias(AliasName="alias/50", TargetKeyId=other["KeyId"])
    refused(kms.update_alias, "LimitExceededException", None,
            AliasName="alias/50", TargetKeyId=key["KeyId"])  # fmt: skip


def test_one_of_many_wins_a_name(kms, key):
    def attempt(_):
        try:
            kms.create_alias(AliasName="alias/one", TargetKeyId=key["KeyId"])
            return "made"
        except kms.exceptions.AlreadyExistsException:
            return "exists"

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(attempt, range(16)))
    assert sorted(results) == ["exists"] * 15 + ["made"]


# Lists.


def pages(method, member, limit, **parameters):
    """All items of a list and the number of pages, each checked for its form."""
    items, count, marker = [], 0, {}
    while True:
        page = method(Limit=limit, **parameters, **marker)
        count += 1
        items += page[member]
        assert len(page[member]) <= limit
        if not page["Truncated"]:
            assert "NextMarker" not in page
            return items, count
        assert 1 <= len(page["NextMarker"]) <= 1024
        assert count < 1000, "pages without end"
        marker = {"Marker": page["NextMarker"]}


# Of AWS managed keys: listed whether or not there is one.
PREDEFINED = 11

LISTS = {
    "list_keys": ("Keys", "KeyId", 1000),
    "list_aliases": ("Aliases", "AliasName", 100),
    "list_resource_tags": ("Tags", "TagKey", 50),
}


@pytest.fixture
def populated(kms, key):
    """Five keys, five aliases, and five tags on `key`; the parameters of each list."""
    for _ in range(4):
        create(kms)
    for n in range(5):
        kms.create_alias(AliasName=f"alias/{n}", TargetKeyId=key["KeyId"])
    kms.tag_resource(
        KeyId=key["KeyId"], Tags=[{"TagKey": f"t{n}", "TagValue": ""} for n in range(5)]
    )
    return {"list_keys": {}, "list_aliases": {}, "list_resource_tags": {"KeyId": key["KeyId"]}}


@pytest.mark.parametrize("name", LISTS)
def test_pages(kms, populated, name):
    member, order, maximum = LISTS[name]
    method, parameters = getattr(kms, name), populated[name]
    whole = method(**parameters)
    assert whole["Truncated"] is False and "NextMarker" not in whole
    assert len(whole[member]) == 5 + (PREDEFINED if name == "list_aliases" else 0)
    assert [item[order] for item in whole[member]] == sorted(item[order] for item in whole[member])
    for limit in (1, 2, 3, 4, 5, 6, maximum):
        items, count = pages(method, member, limit, **parameters)
        assert items == whole[member], limit
        assert count >= -(-5 // limit)


def test_list_keys_entries(kms, key):
    assert kms.list_keys()["Keys"] == [{"KeyId": key["KeyId"], "KeyArn": key["Arn"]}]


def test_default_page_sizes(kms, key):
    for n in range(50 - PREDEFINED):
        kms.create_alias(AliasName=f"alias/{n:03}", TargetKeyId=key["KeyId"])
    assert kms.list_aliases()["Truncated"] is False
    other = create(kms)
    kms.create_alias(AliasName="alias/last", TargetKeyId=other["KeyId"])
    page = kms.list_aliases()
    assert page["Truncated"] is True
    assert len(page["Aliases"]) == 50
    rest = kms.list_aliases(Marker=page["NextMarker"])
    assert [entry["AliasName"] for entry in rest["Aliases"]] == ["alias/last"]


@pytest.mark.parametrize("name", LISTS)
def test_limits(kms, populated, name):
    _, _, maximum = LISTS[name]
    method, parameters = getattr(kms, name), populated[name]
    text = (
        "1 validation error detected: Value '1001' at 'limit' failed to satisfy constraint: "
        "Member must have value less than or equal to 1000"
    )
    refused(method, "ValidationException", text, Limit=1001, **parameters)
    if maximum < 1000:
        refused(method, "ValidationException", None, Limit=maximum + 1, **parameters)


@pytest.mark.parametrize("name, maximum", [("list_aliases", 100), ("list_resource_tags", 50)])
def test_a_limit_is_judged_before_the_key(kms, name, maximum):
    """A rule that needs no key is told before one is looked for (behaviour.md 5.6)."""
    text = (
        f"1 validation error detected: Value '{maximum + 1}' at 'limit' failed to satisfy "
        f"constraint: Member must have value less than or equal to {maximum}"
    )
    method = getattr(kms, name)
    refused(method, "ValidationException", text, KeyId=support.ABSENT_KEY, Limit=maximum + 1)
    refused(method, "NotFoundException", None, KeyId=support.ABSENT_KEY, Limit=maximum)


@pytest.mark.parametrize("name", LISTS)
def test_markers_are_bound(server, account, kms, populated, name):
    """A marker serves its own list, account and Region, whole and unaltered."""
    method, parameters = getattr(kms, name), populated[name]
    marker = method(Limit=2, **parameters)["NextMarker"]
    assert method(Limit=2, Marker=marker, **parameters)[LISTS[name][0]]

    def bad(method, marker, **parameters):
        refused(method, "InvalidMarkerException", None, Marker=marker, **parameters)

    middle = len(marker) // 2
    altered = "A" if marker[middle] != "A" else "B"
    for text in ("x", marker + "x", marker[:-4], marker[4:], " ", "ÿ" * 1024,
                 marker[:middle] + altered + marker[middle + 1 :]):  # fmt: skip
        bad(method, text, **parameters)
    for other in set(LISTS) - {name}:
        bad(getattr(kms, other), marker, **populated[other])
    stranger = server.client(support.new_account())
    abroad = server.client(account, "eu-west-1")
    for client in (stranger, abroad):
        bad(getattr(client, name), marker,
            **({"KeyId": create(client)["KeyId"]} if parameters else {}))  # fmt: skip
    if parameters:
        bad(method, marker, KeyId=create(kms)["KeyId"])


def test_marker_does_not_show_what_it_holds(kms, populated):
    import base64

    page = kms.list_keys(Limit=2)
    last = page["Keys"][-1]["KeyId"]
    marker = page["NextMarker"]
    assert last not in marker
    padded = marker + "=" * (-len(marker) % 4)
    with_url = padded.replace("-", "+").replace("_", "/")
    if re.fullmatch(r"[A-Za-z0-9+/]*=*", with_url):
        raw = base64.b64decode(with_url)
        assert last.encode() not in raw and bytes.fromhex(last.replace("-", "")) not in raw


def test_a_page_survives_changes_and_restart(own_server, account):
    kms = own_server.client(account)
    keys = sorted(create(kms)["KeyId"] for _ in range(6))
    page = kms.list_keys(Limit=3)
    assert [entry["KeyId"] for entry in page["Keys"]] == keys[:3]
    own_server.restart()
    kms = own_server.client(account)
    rest = kms.list_keys(Limit=1000, Marker=page["NextMarker"])
    assert [entry["KeyId"] for entry in rest["Keys"]] == keys[3:]


def test_list_aliases_of_unknown_keys(kms, account):
    missing = f"Key '{support.key_arn(account, support.ABSENT_KEY)}' does not exist"
    refused(kms.list_aliases, "NotFoundException", missing, KeyId=support.ABSENT_KEY)
    refused(kms.list_aliases, "InvalidArnException", support.NO_ALIASES, KeyId="alias/a")
