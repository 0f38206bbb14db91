//! Key specs: which usages each has and which algorithms go with both (behaviour.md 3.1).

use keystead_model::{
    EncryptionAlgorithmSpec, KeyAgreementAlgorithmSpec, KeySpec, KeyUsageType, MacAlgorithmSpec,
    Partition, SigningAlgorithmSpec,
};

use crate::caller::Caller;
use crate::service::Service;

/// Whether SM2 is open to the caller: in the China Regions, elsewhere by setting.
pub(crate) fn sm2_is_open(service: &Service, caller: &Caller) -> bool {
    service.settings.sm2_everywhere || caller.region().partition() == Partition::AwsCn
}

/// The usages that a key of this spec may have.
pub(crate) fn usages(spec: KeySpec) -> &'static [KeyUsageType] {
    use KeySpec::*;
    use KeyUsageType::*;
    match spec {
        SymmetricDefault => &[EncryptDecrypt],
        Hmac224 | Hmac256 | Hmac384 | Hmac512 => &[GenerateVerifyMac],
        Rsa2048 | Rsa3072 | Rsa4096 => &[EncryptDecrypt, SignVerify],
        EccNistP256 | EccNistP384 | EccNistP521 => &[SignVerify, KeyAgreement],
        EccSecgP256k1 | EccNistEdwards25519 | MlDsa44 | MlDsa65 | MlDsa87 => &[SignVerify],
        Sm2 => &[EncryptDecrypt, SignVerify, KeyAgreement],
    }
}

/// The encryption algorithms of a key with usage ENCRYPT_DECRYPT.
pub(crate) fn encryption_algorithms(spec: KeySpec) -> &'static [EncryptionAlgorithmSpec] {
    use EncryptionAlgorithmSpec::*;
    match spec {
        KeySpec::SymmetricDefault => &[SymmetricDefault],
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => &[RsaesOaepSha1, RsaesOaepSha256],
        KeySpec::Sm2 => &[Sm2pke],
        _ => &[],
    }
}

/// The signing algorithms of a key with usage SIGN_VERIFY.
pub(crate) fn signing_algorithms(spec: KeySpec) -> &'static [SigningAlgorithmSpec] {
    use SigningAlgorithmSpec::*;
    match spec {
        KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096 => &[
            RsassaPkcs1V15Sha256,
            RsassaPkcs1V15Sha384,
            RsassaPkcs1V15Sha512,
            RsassaPssSha256,
            RsassaPssSha384,
            RsassaPssSha512,
        ],
        KeySpec::EccNistP256 | KeySpec::EccSecgP256k1 => &[EcdsaSha256],
        KeySpec::EccNistP384 => &[EcdsaSha384],
        KeySpec::EccNistP521 => &[EcdsaSha512],
        KeySpec::EccNistEdwards25519 => &[Ed25519Sha512, Ed25519PhSha512],
        KeySpec::MlDsa44 | KeySpec::MlDsa65 | KeySpec::MlDsa87 => &[MlDsaShake256],
        KeySpec::Sm2 => &[Sm2dsa],
        _ => &[],
    }
}

/// The key agreement algorithms of a key with usage KEY_AGREEMENT.
pub(crate) fn key_agreement_algorithms(spec: KeySpec) -> &'static [KeyAgreementAlgorithmSpec] {
    match spec {
        KeySpec::EccNistP256 | KeySpec::EccNistP384 | KeySpec::EccNistP521 | KeySpec::Sm2 => {
            &[KeyAgreementAlgorithmSpec::Ecdh]
        }
        _ => &[],
    }
}

/// The MAC algorithms of a key with usage GENERATE_VERIFY_MAC.
pub(crate) fn mac_algorithms(spec: KeySpec) -> &'static [MacAlgorithmSpec] {
    match spec {
        KeySpec::Hmac224 => &[MacAlgorithmSpec::HmacSha224],
        KeySpec::Hmac256 => &[MacAlgorithmSpec::HmacSha256],
        KeySpec::Hmac384 => &[MacAlgorithmSpec::HmacSha384],
        KeySpec::Hmac512 => &[MacAlgorithmSpec::HmacSha512],
        _ => &[],
    }
}
