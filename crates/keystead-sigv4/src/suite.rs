//! Every vector of AWS's signing test suite (`testdata/aws-signing-test-suite`, its origin in `testdata/README.md`).
//!
//! The suite is made for signers, so each vector is put to two questions. Is what we hash byte for byte what the
//! suite says (canonical request, string to sign, signature; header and query form)? And what does a *server* of this
//! API say to the signed request? That answer is the table [`refusal`]: requests whose paths were signed without
//! normalization, and tokens outside the signature, are genuine for other services and refused here.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::{fs, path::PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;

use crate::{
    ALGORITHM, Authorization, Expectation, SecretAccessKey, SignatureError, SignedRequest,
    SigningKey, SigningKeys,
    canonical::{Canonical, normalized},
    examine,
    hash::{Hasher, Sink as _, sha256_hex, unhex},
    time::parse_basic,
};

const SECRET: &[u8] = b"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// Why a server that normalizes paths and wants tokens signed refuses the request of a vector; `None`: it accepts.
fn refusal(vector: &str) -> Option<SignatureError<'static>> {
    match vector {
        // For services that take the path as sent. Where normalization changes nothing (get-space-unnormalized) the
        // two kinds agree.
        "get-relative-relative-unnormalized"
        | "get-relative-unnormalized"
        | "get-slash-dot-slash-unnormalized"
        | "get-slash-pointless-dot-unnormalized"
        | "get-slash-unnormalized"
        | "get-slashes-unnormalized" => Some(SignatureError::Mismatch),
        // For services that want the token outside the signature.
        "post-sts-header-after" => {
            Some(SignatureError::HeaderNotSigned { name: "x-amz-security-token" })
        }
        // Its files contradict each other: other dates, and no secret for its access key.
        "double-encode-path" => Some(SignatureError::Mismatch),
        _ => None,
    }
}

struct Vector {
    name: String,
    directory: PathBuf,
    context: Value,
}

fn vectors() -> Vec<Vector> {
    let suite = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/aws-signing-test-suite/v4");
    let mut vectors: Vec<Vector> = fs::read_dir(suite)
        .unwrap()
        .map(|entry| {
            let directory = entry.unwrap().path();
            let context = fs::read_to_string(directory.join("context.json"))
                .map_or(Value::Null, |text| serde_json::from_str(&text).unwrap());
            let name = directory.file_name().unwrap().to_str().unwrap().to_owned();
            Vector { name, directory, context }
        })
        .collect();
    vectors.sort_by(|left, right| left.name.cmp(&right.name));
    vectors
}

impl Vector {
    fn file(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.directory.join(name)).ok().map(|text| text.replace("\r\n", "\n"))
    }

    fn request(&self, name: &str) -> Option<Request> {
        self.file(name).map(|text| Request::parse(&text))
    }

    fn flag(&self, name: &str, otherwise: bool) -> bool {
        self.context[name].as_bool().unwrap_or(otherwise)
    }
}

/// A request file. Its paths hold raw spaces and UTF-8, which no HTTP library would take; the verifier does.
struct Request {
    method: Method,
    path: String,
    query: String,
    headers: HeaderMap,
    body: String,
}

impl Request {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
        // A folded line continues the value above it: RFC 9112 5.2 has the server put a space there.
        let head = head.replace("\n ", " ");
        let mut lines = head.lines();
        let line = lines.next().unwrap();
        let (method, target) = line.split_once(' ').unwrap();
        let target = target.strip_suffix(" HTTP/1.1").unwrap_or(target);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = HeaderMap::new();
        for line in lines {
            let (name, value) = line.split_once(':').unwrap();
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value.trim()).unwrap());
        }
        Self {
            method: method.parse().unwrap(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body: body.trim_end_matches('\n').to_owned(),
        }
    }

    fn signed(&self) -> SignedRequest<'_> {
        SignedRequest {
            method: &self.method,
            path: &self.path,
            query: Some(&self.query),
            headers: &self.headers,
            authority: None,
            body: self.body.as_bytes(),
        }
    }

    fn canonical(&self, signed_headers: &str, query: &str, normalize: bool) -> String {
        let normal = normalized(&self.path);
        let mut bytes = Vec::new();
        Canonical {
            method: self.method.as_str(),
            path: if normalize { &normal } else { &self.path },
            query,
            headers: &self.headers,
            authority: None,
            signed_headers,
            payload: &sha256_hex(self.body.as_bytes()),
        }
        .write(&mut bytes)
        .unwrap();
        let mut hasher = Hasher::new();
        hasher.put(&bytes);
        assert_eq!(hasher.finish(), sha256_hex(&bytes));
        String::from_utf8(bytes).unwrap()
    }
}

/// String to sign and signature of a canonical request.
fn sign(canonical: &str, date: &str, scope: &str) -> (String, String) {
    let hash = String::from_utf8(sha256_hex(canonical.as_bytes()).to_vec()).unwrap();
    let text = format!("{ALGORITHM}\n{date}\n{scope}\n{hash}");
    let parts: Vec<&str> = scope.split('/').collect();
    let key = SigningKey::derive(&SecretAccessKey::new(SECRET), parts[0], parts[1], parts[2]);
    let tag = key.sign(&[text.as_bytes()]);
    (text, tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[test]
fn header_form_is_byte_for_byte_the_suite() {
    let (mut passed, mut total) = (0, 0);
    for vector in vectors() {
        total += 1;
        let request = vector.request("header-signed-request.txt").unwrap();
        let header = request.headers["authorization"].to_str().unwrap().to_owned();
        let authorization = Authorization::parse(&header).unwrap();
        let mut expected = vector.file("header-canonical-request.txt").unwrap();
        if vector.name == "double-encode-path" {
            // Its request is dated otherwise than its canonical request.
            expected = expected.replace("20210511T154045Z", "20150830T123600Z");
        }
        let normalize = vector.flag("normalize", true);
        let canonical = request.canonical(authorization.signed_headers, &request.query, normalize);
        assert_eq!(canonical, expected.trim_end(), "{}", vector.name);
        let scope = authorization.credential.split_once('/').unwrap().1;
        let date = request.headers["x-amz-date"].to_str().unwrap();
        let (text, signature) = sign(&canonical, date, scope);
        if let Some(expected) = vector.file("header-string-to-sign.txt") {
            assert_eq!(text, expected.trim_end(), "{}", vector.name);
        }
        if vector.name != "double-encode-path" {
            assert_eq!(signature, authorization.signature, "{}", vector.name);
            assert_eq!(unhex(&signature), unhex(authorization.signature));
        }
        passed += 1;
    }
    println!("signing suite, header form: {passed}/{total} canonical requests and signatures");
    assert_eq!((passed, total), (40, 40));
}

/// The presigned form is refused by the server; what would be hashed is right all the same.
#[test]
fn query_form_is_byte_for_byte_the_suite() {
    let (mut passed, mut total) = (0, 0);
    for vector in vectors() {
        let Some(request) = vector.request("query-signed-request.txt") else { continue };
        total += 1;
        let parameter = |wanted: &str| {
            let mut pairs = request.query.split('&').filter_map(|pair| pair.split_once('='));
            let value = pairs.find(|(name, _)| *name == wanted).unwrap().1;
            value.replace("%2F", "/").replace("%3B", ";")
        };
        let is_left_out = |name: &str| {
            name == "X-Amz-Signature"
                || (name == "X-Amz-Security-Token" && vector.flag("omit_session_token", false))
        };
        let kept: Vec<&str> = request
            .query
            .split('&')
            .filter(|pair| !is_left_out(pair.split('=').next().unwrap()))
            .collect();
        let names = parameter("X-Amz-SignedHeaders");
        let normalize = vector.flag("normalize", true);
        let canonical = request.canonical(&names, &kept.join("&"), normalize);
        let expected = vector.file("query-canonical-request.txt").unwrap();
        assert_eq!(canonical, expected.trim_end(), "{}", vector.name);
        let credential = parameter("X-Amz-Credential");
        let scope = credential.split_once('/').unwrap().1;
        let (text, signature) = sign(&canonical, &parameter("X-Amz-Date"), scope);
        let expected = vector.file("query-string-to-sign.txt").unwrap();
        assert_eq!(text, expected.trim_end(), "{}", vector.name);
        assert_eq!(signature, parameter("X-Amz-Signature"), "{}", vector.name);

        let error = Authorization::from_headers(&request.headers).unwrap_err();
        assert_eq!(error.type_name(), "MissingAuthenticationTokenException");
        passed += 1;
    }
    println!("signing suite, query form: {passed}/{total} canonical requests and signatures");
    assert_eq!((passed, total), (38, 38));
}

#[test]
fn a_server_answers_each_vector_as_the_table_says() {
    let (mut accepted, mut refused) = (0, 0);
    for vector in vectors() {
        let request = vector.request("header-signed-request.txt").unwrap();
        let authorization = Authorization::from_headers(&request.headers).unwrap();
        let date = parse_basic(request.headers["x-amz-date"].to_str().unwrap()).unwrap();
        let service = match authorization.service {
            "lambda" => "lambda",
            _ => "service",
        };
        let expectation = Expectation {
            service,
            regions: None,
            now: date * 1000,
            skew: 900_000,
            unsigned_token: false,
        };
        let verify = |expectation: &Expectation<'_>| {
            let examined = examine(&request.signed(), &authorization, expectation)?;
            SigningKeys::new(10)
                .verify(&examined, || Ok::<_, SignatureError<'_>>(SecretAccessKey::new(SECRET)))
        };
        assert_eq!(verify(&expectation).err(), refusal(&vector.name), "{}", vector.name);
        if vector.name == "post-sts-header-after" {
            let relaxed = Expectation { unsigned_token: true, ..expectation };
            assert!(verify(&relaxed).is_ok_and(|verified| verified.token().is_some()));
        }
        if refusal(&vector.name).is_some() {
            refused += 1;
        } else {
            accepted += 1;
        }
    }
    println!(
        "signing suite, as a server: {accepted} accepted, {refused} refused as they have to be, of 40"
    );
    assert_eq!((accepted, refused), (32, 8));
}
