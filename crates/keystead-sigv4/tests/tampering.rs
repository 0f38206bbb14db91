//! A signed request, altered in one place: nothing of it may be accepted. And its clock.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use http::Method;
use keystead_sigv4::{
    Expectation, MAX_PATH_BYTES, MAX_QUERY_BYTES, MAX_REQUEST_HEADER_BYTES, Part, SignatureError,
};
use support::{EXPECTATION, NOW, OTHER_KEY_ID, Sent, TOKEN, encrypt};

const URI: &str = "https://kms.eu-central-1.amazonaws.com/path/of%20it?name=value&other=%2F";

fn original() -> Sent {
    Sent::sign(encrypt(URI), Some(TOKEN), NOW)
}

/// Another visible character at each place in turn: one that means nothing in any of the grammars.
fn altered_texts(text: &str) -> Vec<String> {
    (0..text.len())
        .map(|at| {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            String::from_utf8(bytes).unwrap()
        })
        .collect()
}

fn shortened_and_extended(text: &str) -> [String; 3] {
    [text[1..].to_owned(), text[..text.len() - 1].to_owned(), format!("{text}x")]
}

struct Table {
    rows: Vec<(&'static str, usize, usize)>,
}

impl Table {
    fn row(&mut self, what: &'static str, requests: impl IntoIterator<Item = Sent>) {
        let (mut refused, mut total) = (0, 0);
        for request in requests {
            total += 1;
            match request.verify() {
                Err(_) => refused += 1,
                Ok(()) => println!(
                    "ACCEPTED {what}: {:?} {:?} {:?} {:?}",
                    request.method, request.path, request.query, request.headers
                ),
            }
        }
        self.rows.push((what, refused, total));
    }
}

#[test]
fn nothing_altered_is_accepted() {
    let sent = original();
    assert_eq!(sent.verify(), Ok(()));
    let with = |change: &dyn Fn(&mut Sent)| {
        let mut altered = sent.clone();
        change(&mut altered);
        altered
    };
    let header = |name: &'static str| {
        let texts = altered_texts(sent.header(name)).into_iter();
        texts.chain(shortened_and_extended(sent.header(name))).map(move |text| (name, text))
    };
    let mut table = Table { rows: Vec::new() };

    let methods =
        [Method::GET, Method::PUT, Method::HEAD, "post".parse().unwrap(), "POSTX".parse().unwrap()];
    table.row("method", methods.map(|method| with(&|sent| sent.method = method.clone())));
    table.row(
        "path, each byte",
        altered_texts(&sent.path).into_iter().map(|path| with(&|sent| sent.path.clone_from(&path))),
    );
    let paths = [
        "/",
        "",
        "/path",
        "/path/of%20it/",
        "/path/of it",
        "/path/of%2520it",
        "/path/of%20it/.",
        "/%70ath/of%20it",
    ];
    table.row("path, others", paths.map(|path| with(&|sent| sent.path = path.to_owned())));
    let query = sent.query.clone().unwrap();
    table.row(
        "query, each byte",
        altered_texts(&query).into_iter().map(|text| with(&|sent| sent.query = Some(text.clone()))),
    );
    let queries = [
        "name=value",
        "other=%2F",
        "name=value&other=%2F&",
        "name=value&other=%2F&a",
        "name=value&name=value&other=%2F",
        "name=value&other=%252F",
        "Name=value&other=%2F",
        "name=value&other=%2F&X-Amz-Expires=1",
    ];
    table.row(
        "query, others",
        // An empty piece is no parameter: the third is the same query.
        queries
            .iter()
            .filter(|query| !query.ends_with('&'))
            .map(|query| with(&|sent| sent.query = Some((*query).to_owned())))
            .chain([with(&|sent| sent.query = None)]),
    );
    for (what, name) in [
        ("host", "host"),
        ("content-type", "content-type"),
        ("x-amz-target", "x-amz-target"),
        ("x-amz-date", "x-amz-date"),
        ("x-amz-security-token", "x-amz-security-token"),
        ("authorization, each byte", "authorization"),
    ] {
        table.row(what, header(name).map(|(name, text)| with(&|sent| sent.set(name, &text))));
    }
    let names: Vec<_> = sent.headers.keys().filter(|name| *name != "user-agent").collect();
    assert_eq!(names.len(), 6);
    let names = || names.iter().copied();
    table
        .row("a header removed", names().map(|name| with(&|sent| drop(sent.headers.remove(name)))));
    table.row(
        "a header repeated",
        names().map(|name| {
            let value = sent.header(name.as_str());
            with(&|sent| sent.add(name.as_str(), value))
        }),
    );
    table.row("a second value", names().map(|name| with(&|sent| sent.add(name.as_str(), "x"))));
    let added = [
        "x-amz-target2",
        "x-amz-",
        "x-amz-content-sha256",
        "x-amz-meta-a",
        "x-amz-grant-token",
        "x-amz-region-set",
        "x-amz-user-agent",
    ];
    table.row("an x-amz- header added", added.map(|name| with(&|sent| sent.add(name, "x"))));
    table.row("body, each byte", (0..sent.body.len()).map(|at| with(&|sent| sent.body[at] ^= 1)));
    table.row(
        "body, others",
        [
            with(&|sent| sent.body.clear()),
            with(&|sent| sent.body.push(b' ')),
            with(&|sent| sent.body.truncate(sent.body.len() - 1)),
            with(&|sent| sent.body.reverse()),
        ],
    );
    table.row(
        "authority without host",
        ["kms.us-east-1.amazonaws.com", ""].map(|authority| {
            with(&|sent| {
                sent.headers.remove("host");
                sent.authority = Some(authority.to_owned());
            })
        }),
    );

    // The components of the header, by meaning.
    let change = |from: &str, to: &str| {
        let text = sent.header("authorization").replacen(from, to, 1);
        assert_ne!(text, sent.header("authorization"), "{from}");
        with(&|sent| sent.set("authorization", &text))
    };
    let signed = sent
        .header("authorization")
        .split("SignedHeaders=")
        .nth(1)
        .unwrap()
        .split(',')
        .next()
        .unwrap()
        .to_owned();
    let names: Vec<&str> = signed.split(';').collect();
    table.row(
        "algorithm",
        ["AWS4-ECDSA-P256-SHA256", "AWS4-HMAC-SHA512", "aws4-hmac-sha256", "Bearer"]
            .map(|to| change("AWS4-HMAC-SHA256", to)),
    );
    table.row(
        "access key id",
        ["AKIAIOSFODNN7EXAMPLF", "ASIAIOSFODNN7EXAMPLE", "akiaiosfodnn7example", OTHER_KEY_ID, ""]
            .map(|to| change("AKIAIOSFODNN7EXAMPLE", to)),
    );
    table.row(
        "scope date",
        ["20260101", "20260103", "2026-01-02", ""]
            .map(|to| change("/20260102/", &format!("/{to}/"))),
    );
    table.row(
        "scope Region",
        ["us-east-1", "EU-CENTRAL-1", "eu-central-1/", ""].map(|to| change("eu-central-1", to)),
    );
    table.row(
        "scope service",
        ["sts", "s3", "KMS", ""].map(|to| change("/kms/", &format!("/{to}/"))),
    );
    table.row(
        "terminator",
        ["aws5_request", "aws4_requestx", ""].map(|to| change("aws4_request", to)),
    );
    table.row(
        "signed headers, one less",
        names.iter().map(|left_out| {
            let fewer: Vec<&str> = names.iter().copied().filter(|name| name != left_out).collect();
            change(&signed, &fewer.join(";"))
        }),
    );
    table.row(
        "signed headers, others",
        [
            change(&signed, &format!("{signed};zz")),
            change(&signed, &format!("accept;{signed}")),
            change(&signed, &signed.to_uppercase()),
            change(&signed, &names.iter().rev().copied().collect::<Vec<_>>().join(";")),
            change(&signed, &format!("{signed};")),
            change(&signed, &format!(";{signed}")),
            change(&signed, &format!("{signed};x-amz-target")),
            change(&signed, &signed.replace("host", "host;host")),
            change(&signed, &signed.replace("host", "host;user-agent")),
        ],
    );
    let signature = sent.header("authorization").split("Signature=").nth(1).unwrap().to_owned();
    table.row(
        "signature",
        [
            change(&signature, &signature.to_uppercase()),
            change(&signature, &"0".repeat(64)),
            change(&signature, &signature[..62]),
            change(&signature, &format!("{signature}00")),
            change(&signature, ""),
            change(&signature, &signature.chars().rev().collect::<String>()),
        ],
    );

    let (mut refused, mut total) = (0, 0);
    println!("| altered | refused | of |\n| --- | --- | --- |");
    for (what, row_refused, row_total) in &table.rows {
        println!("| {what} | {row_refused} | {row_total} |");
        refused += row_refused;
        total += row_total;
    }
    println!("| all | {refused} | {total} |");
    assert_eq!(refused, total);
    assert!(total > 1100, "{total}");
}

/// What may change on the way without changing the meaning, and does not break the signature.
#[test]
fn equal_spellings_are_accepted() {
    let sent = original();
    let with = |change: &dyn Fn(&mut Sent)| {
        let mut altered = sent.clone();
        change(&mut altered);
        altered
    };
    for altered in [
        with(&|sent| sent.path = "//path/./of%20it".to_owned()),
        with(&|sent| sent.query = Some("other=/&name=v%61lue".to_owned())),
        with(&|sent| sent.set("x-amz-target", "  TrentService.Encrypt ")),
        with(&|sent| sent.set("user-agent", "another")),
        with(&|sent| sent.set("x-amzn-trace-id", "Root=1")),
        with(&|sent| sent.set("accept", "*/*")),
        with(&|sent| {
            let text = sent.header("authorization").replace(", ", ",");
            sent.set("authorization", &text);
        }),
    ] {
        assert_eq!(altered.verify(), Ok(()));
    }
}

fn at(now: i64) -> Expectation<'static> {
    Expectation { now, ..EXPECTATION }
}

#[test]
fn fifteen_minutes_either_way() {
    let sent = original();
    for seconds in [-900, -899, -1, 0, 1, 899, 900] {
        assert_eq!(sent.verify_as(&at((NOW + seconds) * 1000)), Ok(()), "{seconds}");
    }
    let early = sent.verify_as(&at((NOW - 901) * 1000)).unwrap_err();
    assert_eq!(
        early.text(),
        "Signature not yet current: 20260102T030405Z is still later than 20260102T030404Z (20260102T024904Z + 15 min.)"
    );
    let late = sent.verify_as(&at((NOW + 901) * 1000)).unwrap_err();
    assert_eq!(
        late.text(),
        "Signature expired: 20260102T030405Z is now earlier than 20260102T030406Z (20260102T031906Z - 15 min.)"
    );
    for error in [early, late] {
        assert_eq!(error.kms_code(), "InvalidSignatureException");
        assert_eq!(error.sts_code(), "SignatureDoesNotMatch");
    }
    assert!(sent.verify_as(&at((NOW + 900) * 1000 + 1)).is_err());
    assert!(sent.verify_as(&at((NOW - 900) * 1000 - 1)).is_err());
    for now in [i64::MIN, i64::MAX] {
        assert!(!sent.verify_as(&at(now)).unwrap_err().text().is_empty());
    }
}

#[test]
fn the_scope_has_the_date_of_the_request_and_not_of_the_clock() {
    // 2026-01-02T23:59:30Z, received after midnight.
    let signed = 1_767_398_370;
    let sent = Sent::sign(encrypt(URI), None, signed);
    assert_eq!(sent.verify_as(&at((signed + 60) * 1000)), Ok(()));
    // One second after midnight, by a client that runs ahead of the server.
    let sent = Sent::sign(encrypt(URI), None, signed + 31);
    assert_eq!(sent.verify_as(&at(signed * 1000)), Ok(()));

    let mut other = sent.clone();
    let text = sent.header("authorization").replace("/20260103/", "/20260102/");
    other.set("authorization", &text);
    assert_eq!(
        other.verify_as(&at(signed * 1000)).unwrap_err().text(),
        "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
         '20260102' != '20260103', from '20260103T000001Z'."
    );
}

#[test]
fn texts_and_codes() {
    let sent = original();
    let with = |change: &dyn Fn(&mut Sent)| {
        let mut altered = sent.clone();
        change(&mut altered);
        altered
    };
    let authorization = |from: &str, to: &str| {
        with(&|sent| {
            let text = sent.header("authorization").replace(from, to);
            sent.set("authorization", &text);
        })
    };
    let mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS \
        Secret Access Key and signing method. Consult the service documentation for details.";
    let invalid = ("InvalidSignatureException", "SignatureDoesNotMatch");
    let incomplete = ("IncompleteSignatureException", "IncompleteSignature");
    for (altered, codes, text) in [
        (
            authorization("eu-central-1", "Mars"),
            invalid,
            "Credential should be scoped to a valid region, not 'Mars'. ",
        ),
        (
            authorization("/kms/", "/sts/"),
            invalid,
            "Credential should be scoped to correct service: 'kms'. ",
        ),
        (
            authorization("aws4_request", "aws5"),
            invalid,
            "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5'.",
        ),
        (
            authorization(";host", ""),
            invalid,
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
        ),
        (
            authorization(";x-amz-target", ""),
            invalid,
            "There were headers present in the request which were not signed",
        ),
        (
            authorization(";x-amz-security-token", ""),
            invalid,
            "There were headers present in the request which were not signed",
        ),
        (
            authorization("x-amz-target", "x-amz-target;z"),
            invalid,
            "Header 'z' is a 'SignedHeader' and not in the request.",
        ),
        (
            authorization("content-type;host", "host;content-type"),
            incomplete,
            "'SignedHeaders' must be names in lower case, each once, in alphabetical order.",
        ),
        (
            authorization("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"),
            incomplete,
            "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256'.",
        ),
        (authorization("Signature=", "Signature=0"), invalid, mismatch),
        (with(&|sent| sent.body.clear()), invalid, mismatch),
        (
            with(&|sent| sent.set("x-amz-date", "2026-01-02")),
            incomplete,
            "Date must be in ISO-8601 'basic format'. Got '2026-01-02'. See http://en.wikipedia.org/wiki/ISO_8601",
        ),
        (with(&|sent| sent.add("host", "a")), invalid, "Request has more than one 'host' header."),
        (
            with(&|sent| sent.query = Some("a=%".to_owned())),
            invalid,
            "The query string has a '+' or an incomplete '%' escape, which cannot be signed.",
        ),
        (
            with(&|sent| sent.query = Some("x-amz-signature=1".to_owned())),
            incomplete,
            "Query-string authentication is not supported. Sign with an AWS4-HMAC-SHA256 Authorization header.",
        ),
        (
            with(&|sent| drop(sent.headers.remove("authorization"))),
            ("MissingAuthenticationTokenException", "MissingAuthenticationToken"),
            "Missing Authentication Token",
        ),
        (
            with(&|sent| sent.set("x-amz-security-token", "")),
            ("UnrecognizedClientException", "InvalidClientTokenId"),
            "The security token included in the request is invalid.",
        ),
    ] {
        let error = altered.verify().unwrap_err();
        assert_eq!(error.text(), text);
        assert_eq!((error.kms_code(), error.sts_code()), codes, "{text}");
        assert!(!format!("{error:?}").contains(TOKEN), "{error:?}");
    }
    let expired = SignatureError::ExpiredToken;
    assert_eq!((expired.kms_code(), expired.sts_code()), ("ExpiredTokenException", "ExpiredToken"));
    assert_eq!(expired.text(), "The security token included in the request is expired");
}

/// The declared hash of the body, signed: the real one is taken, everything else refused.
#[test]
fn content_sha256_is_that_of_the_body() {
    let signed_with = |declared: &str| {
        let mut request = encrypt("https://kms.eu-central-1.amazonaws.com/");
        *request.body_mut() = b"abc".to_vec();
        request.headers_mut().insert("x-amz-content-sha256", declared.parse().unwrap());
        Sent::sign(request, None, NOW)
            .verify()
            .err()
            .map(|error| error.to_string().contains("does not match"))
    };
    let real = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(signed_with(real), None);
    for declared in [
        &real.to_uppercase(),
        "UNSIGNED-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "x",
    ] {
        assert_eq!(signed_with(declared), Some(true), "{declared}");
    }
}

#[test]
fn what_is_too_large_is_not_hashed() {
    let sent = original();
    let refused = |change: &dyn Fn(&mut Sent)| {
        let mut altered = sent.clone();
        change(&mut altered);
        match altered.verify() {
            Err(SignatureError::TooLarge { part, .. }) => part,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&|sent| sent.path = "/".repeat(MAX_PATH_BYTES + 1)), Part::Path);
    assert_eq!(refused(&|sent| sent.query = Some("&".repeat(MAX_QUERY_BYTES + 1))), Part::Query);
    assert_eq!(
        refused(&|sent| sent.set("accept", &"x".repeat(MAX_REQUEST_HEADER_BYTES))),
        Part::Headers
    );
    assert_eq!(
        refused(&|sent| {
            let text = sent
                .header("authorization")
                .replace("SignedHeaders=", &format!("SignedHeaders={}", "a;".repeat(100)));
            sent.set("authorization", &text);
        }),
        Part::SignedHeaders
    );
}

/// Regions that the server does not serve are refused as Regions that do not exist.
#[test]
fn regions_are_those_served() {
    let sent = original();
    let one = |region: &str| region == "us-east-1";
    let other = Expectation { regions: Some(&one), ..EXPECTATION };
    assert_eq!(sent.verify_as(&other), Err(SignatureError::Region { region: "eu-central-1" }));
    let mine = |region: &str| region == "eu-central-1";
    assert_eq!(sent.verify_as(&Expectation { regions: Some(&mine), ..EXPECTATION }), Ok(()));
}
