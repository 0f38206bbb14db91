//! Second implementations, both ways: what we make they take, what they make we take.

use keystead_crypto::{
    AsymmetricSpec, EncryptionAlgorithm, Message, PrivateKey, SigningAlgorithm, VerifyError,
    generate_private_key,
};

use crate::der;

#[test]
fn p256_agrees() {
    use p256::ecdsa::signature::hazmat::PrehashVerifier;
    use p256::ecdsa::signature::{Signer, Verifier};
    use p256::pkcs8::DecodePrivateKey;
    let spec = AsymmetricSpec::EccNistP256;
    let algorithm = SigningAlgorithm::EcdsaSha256;
    let pkcs8 = generate_private_key(spec).unwrap();
    let ours = PrivateKey::from_pkcs8(spec, pkcs8.expose()).unwrap();
    let theirs = p256::ecdsa::SigningKey::from_pkcs8_der(pkcs8.expose()).unwrap();
    let digest = aws_digest(b"message");

    for form in [Message::Raw(b"message"), Message::Digest(&digest)] {
        let made = ours.sign(algorithm, form).unwrap();
        let made = p256::ecdsa::Signature::from_der(&made).unwrap();
        theirs.verifying_key().verify(b"message", &made).unwrap();
        theirs.verifying_key().verify_prehash(&digest, &made).unwrap();

        let made: p256::ecdsa::Signature = theirs.sign(b"message");
        assert_eq!(ours.verify(algorithm, form, made.to_der().as_bytes()), Ok(()));
    }
}

#[test]
fn k256_agrees_and_both_values_of_s_are_valid() {
    use k256::ecdsa::signature::{Signer, Verifier};
    use k256::pkcs8::DecodePrivateKey;
    let spec = AsymmetricSpec::EccSecgP256k1;
    let algorithm = SigningAlgorithm::EcdsaSha256;
    let pkcs8 = generate_private_key(spec).unwrap();
    let ours = PrivateKey::from_pkcs8(spec, pkcs8.expose()).unwrap();
    let theirs = k256::ecdsa::SigningKey::from_pkcs8_der(pkcs8.expose()).unwrap();

    let made: k256::ecdsa::Signature = theirs.sign(b"message");
    let (r, s) = made.split_scalars();
    let other = k256::ecdsa::Signature::from_scalars(r.to_bytes(), (-s).to_bytes()).unwrap();
    for signature in [made, other] {
        let signature = signature.to_der();
        let verified = ours.verify(algorithm, Message::Raw(b"message"), signature.as_bytes());
        assert_eq!(verified, Ok(()));
    }
    let mut high = 0;
    for _ in 0..40 {
        let made = ours.sign(algorithm, Message::Raw(b"message")).unwrap();
        let made = k256::ecdsa::Signature::from_der(&made).unwrap();
        let low = made.normalize_s();
        high += usize::from(low != made);
        theirs.verifying_key().verify(b"message", &low).unwrap();
    }
    assert!(high > 0 && high < 40, "s is normalised");
}

fn aws_digest(message: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, message).as_ref().to_vec()
}

#[test]
fn rsa_agrees() {
    use rsa::pkcs8::DecodePrivateKey;
    use rsa::sha2::Sha256;
    let spec = AsymmetricSpec::Rsa2048;
    let pkcs8 = generate_private_key(spec).unwrap();
    let ours = PrivateKey::from_pkcs8(spec, pkcs8.expose()).unwrap();
    let theirs = rsa::PrivateKey::from_pkcs8_der(pkcs8.expose()).unwrap();
    let digest = aws_digest(b"message");

    let made = ours.sign(SigningAlgorithm::RsassaPssSha256, Message::Raw(b"message")).unwrap();
    let exact = rsa::Pss::<Sha256>::new_with_salt(32);
    theirs.to_public_key().verify(exact, &digest, &made).unwrap();
    let shorter = rsa::Pss::<Sha256>::new_with_salt(31);
    theirs.to_public_key().verify(shorter, &digest, &made).unwrap_err();

    let oaep = EncryptionAlgorithm::RsaesOaepSha256;
    let ciphertext = ours.encrypt(oaep, b"plaintext").unwrap();
    assert_eq!(theirs.decrypt(rsa::Oaep::<Sha256>::new(), &ciphertext).unwrap(), b"plaintext");
}

/// AWS signs the digest as if it were the message: a library's entry point for digests already made
/// does not verify it.
#[test]
fn dalek_agrees_on_ed25519ph() {
    use ed25519_dalek::Sha512;
    use ed25519_dalek::ed25519::signature::digest::Digest;
    let spec = AsymmetricSpec::EccNistEdwards25519;
    let algorithm = SigningAlgorithm::Ed25519PhSha512;
    let pkcs8 = generate_private_key(spec).unwrap();
    let ours = PrivateKey::from_pkcs8(spec, pkcs8.expose()).unwrap();
    let theirs = ed25519_dalek::SigningKey::from_bytes(pkcs8.expose()[16..].try_into().unwrap());
    let digest = Sha512::digest(b"message");
    let hashed_again = || Sha512::new().chain_update(digest);

    let made = ours.sign(algorithm, Message::Digest(&digest)).unwrap();
    let made = ed25519_dalek::Signature::from_slice(&made).unwrap();
    theirs.verify_prehashed(hashed_again(), None, &made).unwrap();
    theirs.verify_prehashed(Sha512::new().chain_update(b"message"), None, &made).unwrap_err();
    theirs.verify_prehashed(hashed_again(), Some(b"context"), &made).unwrap_err();

    let made = theirs.sign_prehashed(hashed_again(), None).unwrap().to_bytes();
    assert_eq!(ours.verify(algorithm, Message::Digest(&digest), &made), Ok(()));
    let once = theirs.sign_prehashed(Sha512::new().chain_update(b"message"), None).unwrap();
    let pure = ours.sign(SigningAlgorithm::Ed25519Sha512, Message::Raw(&digest)).unwrap();
    for other in [&once.to_bytes()[..], &pure] {
        let verified = ours.verify(algorithm, Message::Digest(&digest), other);
        assert_eq!(verified, Err(VerifyError::InvalidSignature));
    }
}

fn ml_dsa_agrees<P: ml_dsa::MlDsaParams>(spec: AsymmetricSpec) {
    let algorithm = SigningAlgorithm::MlDsaShake256;
    let pkcs8 = generate_private_key(spec).unwrap();
    let ours = PrivateKey::from_pkcs8(spec, pkcs8.expose()).unwrap();
    let seed = ml_dsa::Seed::try_from(&pkcs8.expose()[22..]).unwrap();
    let theirs = ml_dsa::ExpandedSigningKey::<P>::from_seed(&seed);
    let public = theirs.verifying_key();
    assert!(ours.public_spki().ends_with(&public.encode()));

    let mu = public
        .compute_mu(
            |shake| {
                ml_dsa::signature::digest::Update::update(shake, b"message");
                Ok(())
            },
            b"",
        )
        .unwrap();
    let both = [Message::Raw(b"message"), Message::ExternalMu(&mu)];
    for form in both {
        let made = ours.sign(algorithm, form).unwrap();
        let signature = ml_dsa::Signature::<P>::try_from(&made[..]).unwrap();
        assert!(public.verify_mu(&mu, &signature));
        assert!(public.verify_with_context(b"message", b"", &signature));
        assert!(!public.verify_with_context(b"message", b"context", &signature));
        for other in both {
            assert_eq!(ours.verify(algorithm, other, &made), Ok(()));
        }
    }
    let over_mu = theirs.sign_mu_deterministic(&mu).encode();
    let over_message = theirs.sign_deterministic(b"message", b"").unwrap().encode();
    let elsewhere = theirs.sign_deterministic(b"message", b"context").unwrap().encode();
    for form in both {
        assert_eq!(ours.verify(algorithm, form, &over_mu), Ok(()));
        assert_eq!(ours.verify(algorithm, form, &over_message), Ok(()));
        let verified = ours.verify(algorithm, form, &elsewhere);
        assert_eq!(verified, Err(VerifyError::InvalidSignature));
    }
}

#[test]
fn ml_dsa_agrees_on_messages_and_on_mu() {
    ml_dsa_agrees::<ml_dsa::MlDsa44>(AsymmetricSpec::MlDsa44);
    ml_dsa_agrees::<ml_dsa::MlDsa65>(AsymmetricSpec::MlDsa65);
    ml_dsa_agrees::<ml_dsa::MlDsa87>(AsymmetricSpec::MlDsa87);
}

/// Compressed peers are taken, too, and give the same secret.
#[test]
fn both_sides_derive_the_same_secret_with_its_leading_zeros() {
    for spec in AsymmetricSpec::ALL.into_iter().filter(|spec| spec.can_agree()) {
        let ours = crate::new_key(spec);
        let mut with_zero = 0;
        for _ in 0..8000 {
            let peer = crate::new_key(spec);
            let secret = ours.agree(&peer.public_spki()).unwrap();
            assert_eq!(secret.len(), der::field_len(spec));
            // The first byte of P-521 is 0 or 1.
            let zero = secret.expose()[usize::from(spec == AsymmetricSpec::EccNistP521)] == 0;
            if !zero && with_zero > 0 {
                continue;
            }
            with_zero += usize::from(zero);
            assert!(peer.agree(&ours.public_spki()).unwrap().ct_eq(secret.expose()));
            let spki = peer.public_spki();
            let point = &spki[spki.len() - 1 - 2 * der::field_len(spec)..];
            let compressed =
                [&[2 | point.last().unwrap() & 1], &point[1..=der::field_len(spec)]].concat();
            let again = ours.agree(&der::ec_spki(spec, &compressed)).unwrap();
            assert!(again.ct_eq(secret.expose()));
            if with_zero == 2 {
                break;
            }
        }
        assert!(with_zero > 0, "{spec:?}: no secret with a leading zero was found");
    }
}
