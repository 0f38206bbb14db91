"""kill -9 amid imports, replicas, changes of the primary Region and grants: nothing acknowledged is
lost, nothing is half made, and counters and indexes are as a scan finds them."""

import os
import random
import signal
import threading

from botocore.exceptions import BotoCoreError, ClientError

import invariants
import support
from test_formats import Reader, root_key
from test_import import FOR_EVER, external, wrap

ROUNDS = int(os.environ.get("KEYSTEAD_KILL_ROUNDS", "5"))
WRITERS = 6
REGIONS = ["us-east-1", "us-west-2", "eu-west-1"]
# What a writer may meet of another's work on the keys that all share.
EXPECTED = {"UnsupportedOperationException", "AlreadyExistsException", "NotFoundException"}


class Life:
    """Clients that write until the server dies, and remember what was acknowledged."""

    def __init__(self, server, account):
        self.server, self.account = server, account
        self.lock = threading.Lock()
        # By key: material and a ciphertext; replicas; grants that are, and grants that are no more.
        self.imported, self.replicas, self.granted, self.ended = {}, {}, {}, set()
        self.unexpected, self.acknowledged = [], 0
        east = self.client(0)
        self.shared = support.create(east, MultiRegion=True)["KeyId"]
        self.sealed = east.encrypt(KeyId=self.shared, Plaintext=b"p")["CiphertextBlob"]
        for region in REGIONS[1:]:
            east.replicate_key(KeyId=self.shared, ReplicaRegion=region)

    def client(self, region):
        return self.server.client(self.account, REGIONS[region])

    def until_killed(self, seed):
        rng, enough = random.Random(seed), threading.Event()
        target = self.acknowledged + rng.randrange(5, 60)
        steps = [self.grants, self.replicate, self.imports, self.promote]

        def write(number):
            mine = random.Random(f"{seed}-{number}")
            try:
                while True:
                    mine.choice(steps)(mine, f"{seed}-{number}-{mine.randrange(10**9)}")
                    with self.lock:
                        self.acknowledged += 1
                        if self.acknowledged >= target:
                            enough.set()
            except BotoCoreError:
                pass  # The connection broke: what was in flight may or may not have happened.
            except ClientError as error:
                self.unexpected.append(error)
                enough.set()

        threads = [threading.Thread(target=write, args=(n,)) for n in range(WRITERS)]
        for thread in threads:
            thread.start()
        assert enough.wait(120), "the server acknowledges nothing"
        self.server.stop(signal.SIGKILL)
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        assert not self.unexpected, self.unexpected

    def grants(self, rng, name):
        kms = self.client(0)
        grant = {
            "KeyId": self.shared, "Operations": ["Decrypt"], "Name": name,
            "GranteePrincipal": f"arn:aws:iam::{self.account}:role/r{rng.randrange(3)}",
            "RetiringPrincipal": support.root_arn(self.account),
        }  # fmt: skip
        made = kms.create_grant(**grant)
        with self.lock:
            self.granted[made["GrantId"]] = name
        if rng.random() < 0.5:
            # Not known to be gone until it is answered, nor known to stay once it is asked.
            with self.lock:
                del self.granted[made["GrantId"]]
            if rng.random() < 0.5:
                kms.retire_grant(GrantToken=made["GrantToken"])
            else:
                kms.revoke_grant(KeyId=self.shared, GrantId=made["GrantId"])
            with self.lock:
                self.ended.add(made["GrantId"])

    def replicate(self, rng, name):
        kms = self.client(0)
        key = support.create(kms, MultiRegion=True, Description=name)["KeyId"]
        kms.replicate_key(KeyId=key, ReplicaRegion=REGIONS[1])
        with self.lock:
            self.replicas[key] = [0, 1]
        kms.replicate_key(KeyId=key, ReplicaRegion=REGIONS[2])
        kms.update_primary_region(KeyId=key, PrimaryRegion=REGIONS[2])
        with self.lock:
            self.replicas[key] = [2, 0, 1]

    def imports(self, rng, name):
        kms, material = self.client(0), rng.randbytes(32)
        key = external(kms)["KeyId"]
        algorithm = "RSAES_OAEP_SHA_256"
        given = kms.get_parameters_for_import(
            KeyId=key, WrappingAlgorithm=algorithm, WrappingKeySpec="RSA_2048"
        )
        kms.import_key_material(
            KeyId=key, ImportToken=given["ImportToken"], **FOR_EVER,
            EncryptedKeyMaterial=wrap(given["PublicKey"], algorithm, material),
        )  # fmt: skip
        sealed = kms.encrypt(KeyId=key, Plaintext=name.encode())["CiphertextBlob"]
        with self.lock:
            self.imported[key] = (name, sealed)

    def promote(self, rng, name):
        try:
            region = rng.randrange(3)
            self.client(region).update_primary_region(
                KeyId=self.shared, PrimaryRegion=REGIONS[(region + 1) % 3]
            )
        except ClientError as error:
            if error.response["Error"]["Code"] not in EXPECTED:
                raise

    def check(self, keys):
        """Against the records of the store, and through the server."""
        place = (self.account, REGIONS[0])
        for key, regions in self.replicas.items():
            # A third replica and the change of primary may have gone under with their answers.
            found = keys[*place, key]["multi_region"]
            assert {REGIONS[r] for r in regions} <= {found["primary"], *found["replicas"]}
            assert len(regions) < 3 or found["primary"] == REGIONS[regions[0]]
        for name, sealed in self.imported.values():
            assert self.client(0).decrypt(CiphertextBlob=sealed)["Plaintext"] == name.encode()
        for region in range(3):
            opened = self.client(region).decrypt(CiphertextBlob=self.sealed)
            assert opened["Plaintext"] == b"p"
        pages = self.client(0).get_paginator("list_grants").paginate(KeyId=self.shared)
        grants = {grant["GrantId"]: grant["Name"] for page in pages for grant in page["Grants"]}
        assert self.granted.items() <= grants.items()
        assert not self.ended & set(grants)


def test_imports_replicas_and_grants_outlive_kills(own_server, account, tmp_path):
    """`KEYSTEAD_KILL_ROUNDS` rounds; 200 is the long form."""
    root = root_key(own_server.root_key())
    life = Life(own_server, account)
    for number in range(ROUNDS):
        life.until_killed(number)
        file = invariants.copied(own_server.data, tmp_path / f"round-{number}")
        keys = invariants.check(Reader(file, root=root, left_by_kill=True))
        own_server.start()
        life.check(keys)
    assert life.acknowledged >= 5 * ROUNDS
    print(
        f"\n{ROUNDS} kills; {life.acknowledged} steps, {len(life.imported)} imported keys, "
        f"{len(life.replicas)} with replicas, {len(life.granted)} grants, {len(life.ended)} ended"
    )
