//! Writes the fixture of a release: a store that holds a key of each kind in each stage of its life,
//! with grants, tokens, markers and uses, and what it answers.
//!
//! Once for each release, and before it where formats have changed: `KEYSTEAD_FIXTURE=<name> cargo
//! test -p keystead-testkit --test front_door -- --ignored write_the_fixture`.

use std::collections::HashMap;
use std::fs;

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use aws_sdk_kms::Client;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{DataKeyPairSpec, OriginType, Tag};
use keystead_crypto::{AsymmetricSpec, EncryptionAlgorithm, generate_private_key};
use keystead_testkit::TestServer;
use serde_json::{Value, json};

use crate::imports::wrap;
use crate::release::{
    Asked, BACKUP, Ciphertext, EXPECTED, Expected, ExpectedKey, OTHER, ROOT_KEY, fixtures,
};
use crate::support::{ACCOUNT, REGION, from_base64, text, to_base64};

const CHINA: &str = "cn-north-1";
const EAST: &str = "us-east-1";
const SOUTH: &str = "ap-south-1";

/// Writes the fixture of the present release; not over one that is there.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes into the source tree, once for each release"]
async fn write_the_fixture() {
    let name = std::env::var("KEYSTEAD_FIXTURE").expect("KEYSTEAD_FIXTURE names the release");
    let fixture = fixtures().join(name);
    fs::create_dir(&fixture).expect("a fixture is written once");
    let mut server = TestServer::start().await.unwrap();
    let kms = server.client(ACCOUNT, REGION);
    let mut writer = Writer { kms: &kms, names: Vec::new(), ciphertexts: Vec::new() };

    let plain = writer.key("plain", kms.create_key().description("plain")).await;
    for alias in ["alias/plain", "alias/also/plain"] {
        kms.create_alias().alias_name(alias).target_key_id(&plain).send().await.unwrap();
    }
    writer.encrypt("plain", &plain, "no context", &[]).await;
    writer.encrypt("plain", &plain, "some context", &[("purpose", "test"), ("größe", "½")]).await;
    writer.pair("plain", &plain, "ECC_NIST_P256").await;
    writer.pair("plain", &plain, "RSA_2048").await;

    let tag = |key: &str, value| Tag::builder().tag_key(key).tag_value(value).build().unwrap();
    let tagged = kms.create_key().tags(tag("stage", "test")).tags(tag("empty", ""));
    let tagged = writer.key("tagged, own policy", tagged).await;
    let policy = format!(
        "{{\"Version\":\"2012-10-17\",\"Id\":\"own\",\"Statement\":{{\"Effect\":\"Allow\",\"Principal\":\
         {{\"AWS\":\"arn:aws:iam::{ACCOUNT}:root\"}},\"Action\":\"kms:*\",\"Resource\":\"*\"}}}}"
    );
    kms.put_key_policy().key_id(&tagged).policy(policy).send().await.unwrap();
    writer.encrypt("tagged, own policy", &tagged, "tagged", &[("a", "")]).await;

    let multi = writer.key("multi-Region", kms.create_key().multi_region(true)).await;
    writer.encrypt("multi-Region", &multi, "multi", &[("a", "b")]).await;
    writer.key("external", kms.create_key().origin(OriginType::External)).await;
    let disabled = writer.key("disabled", kms.create_key()).await;
    writer.encrypt("disabled", &disabled, "of a disabled key", &[]).await;
    kms.disable_key().key_id(&disabled).send().await.unwrap();
    let pending = writer.key("pending deletion", kms.create_key()).await;
    writer.encrypt("pending deletion", &pending, "of a key about to go", &[]).await;
    kms.create_alias().alias_name("alias/going").target_key_id(&pending).send().await.unwrap();
    kms.schedule_key_deletion().key_id(&pending).send().await.unwrap();

    let (names, ciphertexts) = (writer.names, writer.ciphertexts);
    let mut recorder = Recorder { server: &server, asked: Vec::new(), uses: Vec::new() };
    recorder.every_spec().await;
    recorder.imported().await;
    recorder.rotated().await;
    recorder.related().await;
    recorder.granted().await;
    recorder.ask(REGION, "DescribeKey", json!({"KeyId": "alias/aws/s3"})).await;
    let asked = recorder.finish().await;
    let mut keys = Vec::new();
    for (name, id) in names {
        let body = json!({"KeyId": id});
        let ask =
            async |operation| server.call(ACCOUNT, REGION, operation, &body).await.unwrap().body;
        keys.push(ExpectedKey {
            name,
            metadata: ask("DescribeKey").await["KeyMetadata"].clone(),
            aliases: ask("ListAliases").await["Aliases"].clone(),
            tags: ask("ListResourceTags").await["Tags"].clone(),
            policy: text(&ask("GetKeyPolicy").await, "Policy").to_owned(),
        });
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let moment = i64::try_from(now.as_millis()).unwrap();
    server.stop().await.unwrap();
    keystead_store::embedded::backup(server.data_dir(), &fixture.join(BACKUP)).unwrap();
    fs::copy(server.root_key_file(), fixture.join(ROOT_KEY)).unwrap();
    let expected = Expected { moment, keys, ciphertexts, asked };
    let expected = serde_json::to_string_pretty(&expected).unwrap();
    fs::write(fixture.join(EXPECTED), expected + "\n").unwrap();
}

struct Writer<'c> {
    kms: &'c Client,
    /// Names and key ids.
    names: Vec<(String, String)>,
    ciphertexts: Vec<Ciphertext>,
}

type CreateKey = aws_sdk_kms::operation::create_key::builders::CreateKeyFluentBuilder;

impl Writer<'_> {
    async fn key(&mut self, name: &str, request: CreateKey) -> String {
        let id = request.send().await.unwrap().key_metadata.unwrap().key_id;
        self.names.push((name.to_owned(), id.clone()));
        id
    }

    async fn encrypt(&mut self, name: &str, id: &str, plaintext: &str, context: &[(&str, &str)]) {
        let context: HashMap<String, String> =
            context.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let request = self.kms.encrypt().key_id(id).plaintext(Blob::new(plaintext));
        let sealed = request.set_encryption_context(Some(context.clone())).send().await.unwrap();
        self.ciphertexts.push(Ciphertext {
            key: name.to_owned(),
            context,
            blob: to_base64(sealed.ciphertext_blob.unwrap()),
            plaintext: to_base64(plaintext),
        });
    }

    async fn pair(&mut self, name: &str, id: &str, spec: &str) {
        let request = self.kms.generate_data_key_pair().key_id(id);
        let pair = request.key_pair_spec(DataKeyPairSpec::from(spec)).send().await.unwrap();
        self.ciphertexts.push(Ciphertext {
            key: name.to_owned(),
            context: HashMap::new(),
            blob: to_base64(pair.private_key_ciphertext_blob.unwrap()),
            plaintext: to_base64(pair.private_key_plaintext.unwrap()),
        });
    }
}

/// Uses the store and notes what it answered.
struct Recorder<'s> {
    server: &'s TestServer,
    asked: Vec<Asked>,
    /// Regions and keys whose last use is asked for.
    uses: Vec<(String, String)>,
}

impl Recorder<'_> {
    async fn call_as(&self, account: &str, region: &str, operation: &str, body: &Value) -> Value {
        let response = self.server.call(account, region, operation, body).await.unwrap();
        assert_eq!(response.status, 200, "{operation} {body}: {}", response.body);
        response.body
    }

    async fn call(&self, region: &str, operation: &str, body: Value) -> Value {
        self.call_as(ACCOUNT, region, operation, &body).await
    }

    /// Notes a request whose answer is known.
    fn expect(&mut self, region: &str, operation: &str, body: Value, answer: Value) {
        let (account, region) = (ACCOUNT.to_owned(), region.to_owned());
        self.asked.push(Asked { account, region, operation: operation.to_owned(), body, answer });
    }

    /// Asks what a later release must answer alike, as another account, too.
    async fn ask_as(&mut self, account: &str, region: &str, operation: &str, body: Value) {
        let mut answer = self.call_as(account, region, operation, &body).await;
        // No two markers are alike.
        answer.as_object_mut().unwrap().remove("NextMarker");
        self.expect(region, operation, body, answer);
        self.asked.last_mut().unwrap().account = account.to_owned();
    }

    async fn ask(&mut self, region: &str, operation: &str, body: Value) {
        self.ask_as(ACCOUNT, region, operation, body).await;
    }

    async fn key(&mut self, region: &str, parameters: Value) -> Value {
        let made = self.call(region, "CreateKey", parameters).await["KeyMetadata"].clone();
        self.uses.push((region.to_owned(), text(&made, "KeyId").to_owned()));
        made
    }

    /// Seals something, to be opened later: in other Regions, too.
    async fn seal(&mut self, region: &str, id: &str, more: Value, opened_in: &[&str]) {
        let mut body = json!({"KeyId": id, "Plaintext": to_base64("sealed")});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let sealed = self.call(region, "Encrypt", body.clone()).await;
        body.as_object_mut().unwrap().remove("Plaintext");
        body["CiphertextBlob"] = sealed["CiphertextBlob"].clone();
        for region in opened_in {
            self.ask(region, "Decrypt", body.clone()).await;
        }
    }

    /// Notes what a key does, by its usage.
    async fn used(&mut self, region: &str, key: &Value) {
        let id = text(key, "KeyId");
        self.ask(region, "DescribeKey", json!({"KeyId": id})).await;
        let message = to_base64("message");
        match text(key, "KeyUsage") {
            "SIGN_VERIFY" => {
                self.ask(region, "GetPublicKey", json!({"KeyId": id})).await;
                for algorithm in key["SigningAlgorithms"].as_array().unwrap() {
                    // Of these the message is a digest, and not of this length.
                    if algorithm == "ED25519_PH_SHA_512" {
                        continue;
                    }
                    let mut body =
                        json!({"KeyId": id, "SigningAlgorithm": algorithm, "Message": message});
                    let made = self.call(region, "Sign", body.clone()).await;
                    body["Signature"] = made["Signature"].clone();
                    self.ask(region, "Verify", body).await;
                }
            }
            "ENCRYPT_DECRYPT" => {
                self.ask(region, "GetPublicKey", json!({"KeyId": id})).await;
                for algorithm in key["EncryptionAlgorithms"].as_array().unwrap() {
                    let more = json!({"EncryptionAlgorithm": algorithm});
                    self.seal(region, id, more, &[region]).await;
                }
            }
            "KEY_AGREEMENT" => {
                let public = self.call(region, "GetPublicKey", json!({"KeyId": id})).await;
                let body = json!({
                    "KeyId": id, "KeyAgreementAlgorithm": key["KeyAgreementAlgorithms"][0],
                    "PublicKey": public["PublicKey"],
                });
                self.ask(region, "DeriveSharedSecret", body).await;
            }
            _ => {
                let body = json!({
                    "KeyId": id, "MacAlgorithm": key["MacAlgorithms"][0], "Message": message,
                });
                self.ask(region, "GenerateMac", body).await;
            }
        }
    }

    async fn every_spec(&mut self) {
        let rsa: &[&str] = &["SIGN_VERIFY", "ENCRYPT_DECRYPT"];
        let nist: &[&str] = &["SIGN_VERIFY", "KEY_AGREEMENT"];
        let sm2: &[&str] = &["SIGN_VERIFY", "ENCRYPT_DECRYPT", "KEY_AGREEMENT"];
        let mut specs = 0;
        for spec in keystead_model::KeySpec::ALL.iter().map(|spec| spec.as_str()) {
            let usages = match spec {
                "SYMMETRIC_DEFAULT" => continue,
                "SM2" => sm2,
                _ if spec.starts_with("RSA") => rsa,
                _ if spec.starts_with("ECC_NIST_P") => nist,
                _ if spec.starts_with("HMAC") => &["GENERATE_VERIFY_MAC"],
                _ => &["SIGN_VERIFY"],
            };
            let region = if spec == "SM2" { CHINA } else { REGION };
            for usage in usages {
                let key = self.key(region, json!({"KeySpec": spec, "KeyUsage": usage})).await;
                self.used(region, &key).await;
            }
            specs += 1;
        }
        assert_eq!(specs, 16, "a new spec needs its usages here");
    }

    /// Imports material into a key and answers the request that did it.
    async fn import(&self, region: &str, id: &str, material: &[u8], more: Value) -> Value {
        let body = self.ready(region, id, material, more).await;
        self.call(region, "ImportKeyMaterial", body.clone()).await;
        body
    }

    async fn ready(&self, region: &str, id: &str, material: &[u8], more: Value) -> Value {
        let long = material.len() > 190;
        let (algorithm, spec, pke) = match region {
            CHINA => ("SM2PKE", "SM2", EncryptionAlgorithm::Sm2Pke),
            _ if long => {
                ("RSA_AES_KEY_WRAP_SHA_256", "RSA_2048", EncryptionAlgorithm::RsaesOaepSha256)
            }
            _ => ("RSAES_OAEP_SHA_256", "RSA_2048", EncryptionAlgorithm::RsaesOaepSha256),
        };
        let body = json!({"KeyId": id, "WrappingAlgorithm": algorithm, "WrappingKeySpec": spec});
        let given = self.call(region, "GetParametersForImport", body).await;
        let spki = from_base64(text(&given, "PublicKey"));
        let wrapped = if long {
            let ephemeral = [9; 32];
            let mut rest = vec![0; material.len() + 15];
            let kek = AesKek::new(&AES_256, &ephemeral).unwrap();
            let rest = kek.wrap_with_padding(material, &mut rest).unwrap();
            [&wrap(pke, &spki, &ephemeral)[..], rest].concat()
        } else {
            wrap(pke, &spki, material)
        };
        let mut body = json!({
            "KeyId": id, "ImportToken": given["ImportToken"],
            "EncryptedKeyMaterial": to_base64(wrapped),
            "ExpirationModel": "KEY_MATERIAL_DOES_NOT_EXPIRE",
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    async fn imported(&mut self) {
        let external = |more: Value| {
            let mut body = json!({"Origin": "EXTERNAL"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            body
        };
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let ends = json!({
            "ExpirationModel": "KEY_MATERIAL_EXPIRES", "ValidTo": now.as_secs() + 30 * 86_400,
        });
        // Two generations, the first of them deleted and imported again; a third that waits.
        let key = self.key(REGION, external(json!({}))).await;
        let id = text(&key, "KeyId");
        self.import(REGION, id, &[1; 32], json!({})).await;
        self.seal(REGION, id, json!({}), &[]).await;
        self.call(REGION, "DeleteImportedKeyMaterial", json!({"KeyId": id})).await;
        self.import(REGION, id, &[1; 32], ends.clone()).await;
        self.seal(REGION, id, json!({}), &[REGION]).await;
        let new = json!({"ImportType": "NEW_KEY_MATERIAL", "KeyMaterialDescription": "new"});
        self.import(REGION, id, &[2; 32], new.clone()).await;
        self.call(REGION, "RotateKeyOnDemand", json!({"KeyId": id})).await;
        self.seal(REGION, id, json!({}), &[REGION]).await;
        self.import(REGION, id, &[3; 32], new).await;
        let listed = json!({"KeyId": id, "IncludeKeyMaterial": "ALL_KEY_MATERIAL"});
        self.ask(REGION, "ListKeyRotations", listed).await;
        self.ask(REGION, "DescribeKey", json!({"KeyId": id})).await;

        // HMAC with an end; RSA and EC; SM2 under SM2.
        let mac = json!({"KeySpec": "HMAC_384", "KeyUsage": "GENERATE_VERIFY_MAC"});
        let key = self.key(REGION, external(mac)).await;
        self.import(REGION, text(&key, "KeyId"), &[4; 48], ends).await;
        self.used(REGION, &key).await;
        for (region, spec) in [(REGION, "RSA_2048"), (REGION, "ECC_NIST_P256"), (CHINA, "SM2")] {
            let more = json!({"KeySpec": spec, "KeyUsage": "SIGN_VERIFY"});
            let key = self.key(region, external(more)).await;
            let private = generate_private_key(AsymmetricSpec::parse(spec).unwrap()).unwrap();
            self.import(region, text(&key, "KeyId"), private.expose(), json!({})).await;
            self.used(region, &key).await;
        }
        // One for both Regions, one that waits for its import, with the token for it.
        let key = self.key(REGION, external(json!({"MultiRegion": true}))).await;
        let id = text(&key, "KeyId");
        self.import(REGION, id, &[5; 32], json!({})).await;
        self.call(REGION, "ReplicateKey", json!({"KeyId": id, "ReplicaRegion": EAST})).await;
        self.import(EAST, id, &[5; 32], json!({})).await;
        self.seal(REGION, id, json!({}), &[REGION, EAST]).await;
        let key = self.key(REGION, external(json!({}))).await;
        let body = self.ready(REGION, text(&key, "KeyId"), &[6; 32], json!({})).await;
        self.expect(REGION, "ImportKeyMaterial", body, json!({"KeyId": key["Arn"]}));
    }

    async fn rotated(&mut self) {
        let key = self.key(REGION, json!({})).await;
        let id = text(&key, "KeyId");
        let body = json!({"KeyId": id, "RotationPeriodInDays": 100});
        self.call(REGION, "EnableKeyRotation", body).await;
        for _ in 0..4 {
            self.seal(REGION, id, json!({"EncryptionContext": {"a": "b"}}), &[REGION]).await;
            self.call(REGION, "RotateKeyOnDemand", json!({"KeyId": id})).await;
        }
        self.seal(REGION, id, json!({}), &[REGION]).await;
        self.ask(REGION, "GetKeyRotationStatus", json!({"KeyId": id})).await;
        self.pages("ListKeyRotations", json!({"KeyId": id, "Limit": 2})).await;
    }

    /// The first page of a list, and the next by its marker.
    async fn pages(&mut self, operation: &str, mut body: Value) {
        let first = self.call(REGION, operation, body.clone()).await;
        self.ask(REGION, operation, body.clone()).await;
        body["Marker"] = json!(text(&first, "NextMarker"));
        self.ask(REGION, operation, body).await;
    }

    /// A primary key that came to be one, its replicas, rotations on both sides of the change.
    async fn related(&mut self) {
        let key = self.key(REGION, json!({"MultiRegion": true})).await;
        let id = text(&key, "KeyId");
        let everywhere = [REGION, EAST, SOUTH];
        for region in [EAST, SOUTH] {
            self.call(REGION, "ReplicateKey", json!({"KeyId": id, "ReplicaRegion": region})).await;
        }
        self.call(REGION, "EnableKeyRotation", json!({"KeyId": id})).await;
        self.call(REGION, "RotateKeyOnDemand", json!({"KeyId": id})).await;
        self.seal(SOUTH, id, json!({}), &everywhere).await;
        let body = json!({"KeyId": id, "PrimaryRegion": EAST});
        self.call(REGION, "UpdatePrimaryRegion", body).await;
        self.call(EAST, "RotateKeyOnDemand", json!({"KeyId": id})).await;
        self.seal(REGION, id, json!({}), &everywhere).await;
        for region in everywhere {
            self.ask(region, "DescribeKey", json!({"KeyId": id})).await;
            self.ask(region, "GetKeyRotationStatus", json!({"KeyId": id})).await;
        }
        let signing = json!({
            "MultiRegion": true, "KeySpec": "ECC_NIST_P384", "KeyUsage": "SIGN_VERIFY",
        });
        let key = self.key(REGION, signing).await;
        let body = json!({"KeyId": key["KeyId"], "ReplicaRegion": EAST});
        self.call(REGION, "ReplicateKey", body).await;
        self.used(EAST, &key).await;
    }

    async fn granted(&mut self) {
        let key = self.key(REGION, json!({})).await;
        let (id, arn) = (text(&key, "KeyId"), text(&key, "Arn"));
        let other = format!("arn:aws:iam::{OTHER}:root");
        let retiring = format!("arn:aws:iam::{ACCOUNT}:role/retires");
        let grants = [
            json!({"Operations": ["Decrypt", "RetireGrant"], "GranteePrincipal": other,
                   "Name": "decrypts", "RetiringPrincipal": retiring,
                   "Constraints": {"EncryptionContextSubset": {"a": "b"}}}),
            json!({"Operations": ["Encrypt"], "GranteePrincipal": other,
                   "RetiringPrincipal": retiring,
                   "Constraints": {"EncryptionContextEquals": {"c": "d"}}}),
            json!({"Operations": ["DescribeKey", "CreateGrant"], "Name": "describes",
                   "GranteePrincipal": format!("arn:aws:iam::{ACCOUNT}:role/grantee")}),
        ];
        let mut made = Vec::new();
        for grant in &grants {
            let mut body = grant.clone();
            body["KeyId"] = json!(id);
            made.push((self.call(REGION, "CreateGrant", body.clone()).await, body));
        }
        let context = json!({"a": "b", "more": "than that"});
        let body = json!({
            "KeyId": id, "Plaintext": to_base64("granted"), "EncryptionContext": context,
        });
        let sealed = self.call(REGION, "Encrypt", body).await;
        let mut open = json!({
            "KeyId": arn, "CiphertextBlob": sealed["CiphertextBlob"], "EncryptionContext": context,
        });
        self.ask(REGION, "ListGrants", json!({"KeyId": id})).await;
        self.pages("ListGrants", json!({"KeyId": id, "Limit": 1})).await;
        self.pages("ListRetirableGrants", json!({"RetiringPrincipal": retiring, "Limit": 1})).await;
        self.ask_as(OTHER, REGION, "Decrypt", open.clone()).await;
        open["GrantTokens"] = json!([made[0].0["GrantToken"]]);
        self.ask_as(OTHER, REGION, "Decrypt", open).await;
        // A name finds its grant again; tokens and ids end grants.
        for at in [0, 2] {
            let (answer, body) = made[at].clone();
            self.expect(REGION, "CreateGrant", body, json!({"GrantId": answer["GrantId"]}));
        }
        let (first, second) = (&made[0].0, &made[1].0);
        let body = json!({"GrantToken": first["GrantToken"]});
        self.expect(REGION, "RetireGrant", body, Value::Null);
        let body = json!({"KeyId": arn, "GrantId": second["GrantId"]});
        self.expect(REGION, "RetireGrant", body, Value::Null);
        let left = self.call(REGION, "ListGrants", json!({"KeyId": id})).await["Grants"].clone();
        let left: Vec<_> = left
            .as_array()
            .unwrap()
            .iter()
            .filter(|grant| grant["Name"] == "describes")
            .cloned()
            .collect();
        self.expect(REGION, "ListGrants", json!({"KeyId": id}), json!({"Grants": left}));
    }

    /// The last uses of keys, which are asked for before anything is used.
    async fn finish(mut self) -> Vec<Asked> {
        let rest = std::mem::take(&mut self.asked);
        for (region, id) in std::mem::take(&mut self.uses) {
            self.ask(&region, "GetKeyLastUsage", json!({"KeyId": id})).await;
        }
        self.asked.into_iter().chain(rest).collect()
    }
}
