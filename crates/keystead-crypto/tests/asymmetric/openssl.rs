//! OpenSSL 3 as the judge. Needs its program on PATH:
//! `cargo test -p keystead-crypto --test asymmetric -- --include-ignored`.

use std::path::PathBuf;
use std::process::{Command, Output};

use keystead_crypto::{
    AsymmetricSpec, EncryptionAlgorithm, Message, PrivateKey, SigningAlgorithm, VerifyError,
    WrappingAlgorithm, WrappingKey, WrappingKeySpec, generate_private_key, generate_wrapping_key,
    import_pkcs8,
};

/// A directory with files for one test.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn get(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Runs OpenSSL in the directory; arguments are separated by single spaces.
    fn try_openssl(&self, arguments: &str) -> Output {
        Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(self.0.path())
            .output()
            .expect("openssl is on PATH")
    }

    fn openssl(&self, arguments: &str) {
        let output = self.try_openssl(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {stderr}");
    }

    /// Writes `key.der` and `public.pem` of a new key.
    fn new_key(&self, spec: AsymmetricSpec) -> PrivateKey {
        let pkcs8 = generate_private_key(spec).unwrap();
        self.put("key.der", pkcs8.expose());
        let key = PrivateKey::from_pkcs8(spec, pkcs8.expose()).unwrap();
        self.put("public.der", &key.public_spki());
        self.openssl("pkey -pubin -inform DER -in public.der -out public.pem");
        self.openssl("pkey -inform DER -in key.der -out key.pem");
        self.openssl("pkey -in key.pem -check -noout");
        // OpenSSL writes the same SubjectPublicKeyInfo.
        self.openssl("pkey -in key.pem -pubout -outform DER -out again.der");
        assert_eq!(self.get("again.der"), key.public_spki(), "{spec:?}");
        key
    }
}

#[test]
#[ignore = "needs the openssl program"]
fn rsa_signatures() {
    use SigningAlgorithm as A;
    let bench = Bench::new();
    let key = bench.new_key(AsymmetricSpec::Rsa2048);
    bench.put("message", b"message");
    for (algorithm, hash, len, pss) in [
        (A::RsassaPssSha256, "sha256", 32, true),
        (A::RsassaPssSha384, "sha384", 48, true),
        (A::RsassaPssSha512, "sha512", 64, true),
        (A::RsassaPkcs1V15Sha256, "sha256", 32, false),
        (A::RsassaPkcs1V15Sha384, "sha384", 48, false),
        (A::RsassaPkcs1V15Sha512, "sha512", 64, false),
    ] {
        let padding = |salt: usize| match pss {
            true => format!("-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:{salt}"),
            false => "-sigopt rsa_padding_mode:pkcs1".to_owned(),
        };
        let verify = |salt| {
            let options = padding(salt);
            bench
                .try_openssl(&format!(
                    "dgst -{hash} {options} -verify public.pem -signature signature message"
                ))
                .status
                .success()
        };
        bench.put("signature", &key.sign(algorithm, Message::Raw(b"message")).unwrap());
        assert!(verify(len), "{algorithm:?}");
        assert!(!pss || !verify(len - 1), "{algorithm:?}: the salt has another length");

        let sign = |salt| {
            let options = padding(salt);
            bench.openssl(&format!("dgst -{hash} {options} -sign key.pem -out theirs message"));
            key.verify(algorithm, Message::Raw(b"message"), &bench.get("theirs"))
        };
        assert_eq!(sign(len), Ok(()));
        if pss {
            assert_eq!(sign(len - 1), Err(VerifyError::InvalidSignature));
        }
    }
}

#[test]
#[ignore = "needs the openssl program"]
fn rsa_encryption() {
    let bench = Bench::new();
    let key = bench.new_key(AsymmetricSpec::Rsa2048);
    for (algorithm, hash) in [
        (EncryptionAlgorithm::RsaesOaepSha1, "sha1"),
        (EncryptionAlgorithm::RsaesOaepSha256, "sha256"),
    ] {
        let options = format!(
            "-pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:{hash} -pkeyopt rsa_mgf1_md:{hash}"
        );
        bench.put("ciphertext", &key.encrypt(algorithm, b"plaintext").unwrap());
        bench.openssl(&format!(
            "pkeyutl -decrypt -inkey key.pem {options} -in ciphertext -out plaintext"
        ));
        assert_eq!(bench.get("plaintext"), b"plaintext");
        bench.openssl(&format!(
            "pkeyutl -encrypt -pubin -inkey public.pem {options} -in plaintext -out theirs"
        ));
        assert!(key.decrypt(algorithm, &bench.get("theirs")).unwrap().ct_eq(b"plaintext"));
    }
}

#[test]
#[ignore = "needs the openssl program"]
fn elliptic_signatures_and_agreement() {
    for (spec, hash) in [
        (AsymmetricSpec::EccNistP256, "sha256"),
        (AsymmetricSpec::EccNistP384, "sha384"),
        (AsymmetricSpec::EccNistP521, "sha512"),
        (AsymmetricSpec::EccSecgP256k1, "sha256"),
    ] {
        let bench = Bench::new();
        let key = bench.new_key(spec);
        let algorithm = spec.signing_algorithms()[0];
        bench.put("message", b"message");
        bench.put("signature", &key.sign(algorithm, Message::Raw(b"message")).unwrap());
        bench.openssl(&format!("dgst -{hash} -verify public.pem -signature signature message"));
        bench.openssl(&format!("dgst -{hash} -sign key.pem -out theirs message"));
        let theirs = bench.get("theirs");
        assert_eq!(key.verify(algorithm, Message::Raw(b"message"), &theirs), Ok(()));

        if !spec.can_agree() {
            continue;
        }
        // Until one secret begins with a zero byte (P-521: a second one).
        let place = usize::from(spec == AsymmetricSpec::EccNistP521);
        let (peer, secret) = (0..5000)
            .find_map(|_| {
                let peer = crate::new_key(spec);
                let secret = key.agree(&peer.public_spki()).unwrap();
                (secret.expose()[place] == 0).then_some((peer, secret))
            })
            .unwrap();
        bench.put("peer.der", &peer.public_spki());
        bench.openssl("pkey -pubin -inform DER -in peer.der -out peer.pem");
        bench.openssl("pkeyutl -derive -inkey key.pem -peerkey peer.pem -out secret");
        assert_eq!(bench.get("secret"), secret.expose(), "{spec:?}");
    }
}

#[test]
#[ignore = "needs the openssl program"]
fn ed25519() {
    let bench = Bench::new();
    let key = bench.new_key(AsymmetricSpec::EccNistEdwards25519);
    let algorithm = SigningAlgorithm::Ed25519Sha512;
    bench.put("message", b"message");
    bench.put("signature", &key.sign(algorithm, Message::Raw(b"message")).unwrap());
    bench.openssl("pkeyutl -verify -rawin -pubin -inkey public.pem -in message -sigfile signature");
    bench.openssl("pkeyutl -sign -rawin -inkey key.pem -in message -out theirs");
    assert_eq!(key.verify(algorithm, Message::Raw(b"message"), &bench.get("theirs")), Ok(()));
}

#[test]
#[ignore = "needs the openssl program"]
fn sm2() {
    let bench = Bench::new();
    let key = bench.new_key(AsymmetricSpec::Sm2);
    let algorithm = SigningAlgorithm::Sm2Dsa;
    bench.put("message", b"message");
    bench.put("signature", &key.sign(algorithm, Message::Raw(b"message")).unwrap());
    let options = "-rawin -digest sm3 -pkeyopt distid:1234567812345678";
    let verify = "pkeyutl -verify -pubin -inkey public.pem -in message -sigfile signature";
    bench.openssl(&format!("{verify} {options}"));
    let other_id = format!("{verify} -rawin -digest sm3 -pkeyopt distid:8765432187654321");
    assert!(!bench.try_openssl(&other_id).status.success());
    bench.openssl(&format!("pkeyutl -sign -inkey key.pem -in message -out theirs {options}"));
    assert_eq!(key.verify(algorithm, Message::Raw(b"message"), &bench.get("theirs")), Ok(()));

    bench.put("ciphertext", &key.encrypt(EncryptionAlgorithm::Sm2Pke, b"plaintext").unwrap());
    bench.openssl("pkeyutl -decrypt -inkey key.pem -in ciphertext -out plaintext");
    assert_eq!(bench.get("plaintext"), b"plaintext");
    bench.openssl("pkeyutl -encrypt -pubin -inkey public.pem -in plaintext -out theirs");
    let decrypted = key.decrypt(EncryptionAlgorithm::Sm2Pke, &bench.get("theirs")).unwrap();
    assert!(decrypted.ct_eq(b"plaintext"));
}

/// Keys that OpenSSL made, in its PKCS #8.
#[test]
#[ignore = "needs the openssl program"]
fn keys_made_by_openssl_come_in() {
    let rsa = "-algorithm RSA -pkeyopt rsa_keygen_bits:";
    let curve = "-algorithm EC -pkeyopt ec_paramgen_curve:";
    let table = [
        (AsymmetricSpec::Rsa2048, format!("{rsa}2048")),
        (AsymmetricSpec::Rsa2048, format!("{rsa}2048 -pkeyopt rsa_keygen_pubexp:3")),
        (AsymmetricSpec::Rsa3072, format!("{rsa}3072")),
        (AsymmetricSpec::Rsa4096, format!("{rsa}4096")),
        (AsymmetricSpec::EccNistP256, format!("{curve}P-256")),
        (AsymmetricSpec::EccNistP384, format!("{curve}P-384")),
        (AsymmetricSpec::EccNistP521, format!("{curve}P-521")),
        (AsymmetricSpec::EccSecgP256k1, format!("{curve}secp256k1")),
        (AsymmetricSpec::Sm2, format!("{curve}SM2")),
        (AsymmetricSpec::EccNistEdwards25519, "-algorithm ED25519".to_owned()),
    ];
    for (spec, options) in table {
        let bench = Bench::new();
        bench.openssl(&format!("genpkey {options} -outform DER -out key.der"));
        bench.openssl("pkey -inform DER -in key.der -pubout -outform DER -out public.der");
        bench.openssl("pkcs8 -topk8 -nocrypt -inform DER -in key.der -outform DER -out pkcs8.der");
        let stored = import_pkcs8(spec, &bench.get("pkcs8.der")).unwrap();
        let key = PrivateKey::from_pkcs8(spec, stored.expose()).unwrap();
        assert_eq!(key.public_spki(), bench.get("public.der"), "{options}");
        for other in AsymmetricSpec::ALL.into_iter().filter(|other| *other != spec) {
            assert!(import_pkcs8(other, &bench.get("pkcs8.der")).is_err(), "{options}");
        }
    }
    for refused in [
        format!("{rsa}2048 -pkeyopt rsa_keygen_primes:3"),
        format!("{rsa}1024"),
        format!("{rsa}2056"),
        format!("{curve}P-256 -pkeyopt ec_param_enc:explicit"),
        format!("{curve}P-224"),
        "-algorithm X25519".to_owned(),
        "-algorithm RSA-PSS".to_owned(),
    ] {
        let bench = Bench::new();
        bench.openssl(&format!("genpkey {refused} -outform DER -out key.der"));
        bench.openssl("pkcs8 -topk8 -nocrypt -inform DER -in key.der -outform DER -out pkcs8.der");
        for spec in AsymmetricSpec::ALL {
            assert!(import_pkcs8(spec, &bench.get("pkcs8.der")).is_err(), "{refused}");
        }
    }
}

/// The recipe of AWS's documentation: an AES key under OAEP, the private key under the AES key.
#[test]
#[ignore = "needs the openssl program"]
fn material_wrapped_by_openssl_comes_in() {
    let spec = WrappingKeySpec::Rsa2048;
    let wrapping =
        WrappingKey::from_pkcs8(spec, generate_wrapping_key(spec).unwrap().expose()).unwrap();
    let bench = Bench::new();
    bench.put("wrapping.der", &wrapping.public_spki());
    bench.openssl("genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out key.pem");
    bench.openssl("pkcs8 -topk8 -nocrypt -in key.pem -outform DER -out material");
    bench.openssl("rand -out aes 32");
    let aes: String = hex::encode(bench.get("aes"));
    bench.openssl(&format!(
        "enc -id-aes256-wrap-pad -K {aes} -iv A65959A6 -in material -out wrapped"
    ));
    for (algorithm, hash) in [
        (WrappingAlgorithm::RsaAesKeyWrapSha1, "sha1"),
        (WrappingAlgorithm::RsaAesKeyWrapSha256, "sha256"),
    ] {
        bench.openssl(&format!(
            "pkeyutl -encrypt -pubin -keyform DER -inkey wrapping.der -in aes -out block \
             -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:{hash} -pkeyopt rsa_mgf1_md:{hash}"
        ));
        let encrypted = [bench.get("block"), bench.get("wrapped")].concat();
        let material = wrapping.unwrap(algorithm, &encrypted).unwrap();
        assert_eq!(material.expose(), bench.get("material"));
        import_pkcs8(AsymmetricSpec::Rsa2048, material.expose()).unwrap();
    }
}
