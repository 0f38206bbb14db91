"""The first milestone: a wrapped private key outlives the process that made it."""

import signal

import pytest

import support


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
def test_private_key_decrypts_after_restart(own_server, account, sig):
    kms = own_server.client(account)
    key = support.create(kms)
    context = {"purpose": "milestone"}
    pair = kms.generate_data_key_pair(
        KeyId=key["KeyId"], KeyPairSpec="ECC_NIST_P256", EncryptionContext=context
    )
    assert pair["KeyId"] == key["Arn"]
    own_server.restart(sig)
    kms = own_server.client(account)
    answer = kms.decrypt(CiphertextBlob=pair["PrivateKeyCiphertextBlob"], EncryptionContext=context)
    assert answer["Plaintext"] == pair["PrivateKeyPlaintext"]
    assert answer["KeyId"] == key["Arn"]
