//! `keystead explain`: asks a running server, on its admin listener, what it would decide.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use keystead_service::explain::{
    DocumentAnswer, Explanation, GrantAnswer, GrantOutcome, Place, Question, StatementOutcome,
    Values, Why,
};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The longest answer that is read, in bytes.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to ask.
#[derive(Args)]
pub struct Explain {
    /// ARN of a user, a role, a role session or an account's root, or an account's 12 digits
    #[arg(long, value_name = "ARN")]
    principal: String,
    /// Action, such as kms:Decrypt
    #[arg(long, value_name = "ACTION")]
    action: String,
    /// Key id, key ARN, alias name or alias ARN; not for actions on no key
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Region [default: that of the key's ARN, or the only one that is served]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// A pair of the encryption context; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    context: Vec<(String, String)>,
    /// A value of another condition key, such as aws:SourceIp=192.0.2.1; repeated for one key, it has
    /// several
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    condition: Vec<(String, String)>,
    /// A grant token; may be repeated
    #[arg(long, value_name = "TOKEN")]
    grant_token: Vec<String>,
    /// The server's admin listener, on a loopback address
    #[arg(long, env = "KEYSTEAD_ADMIN_LISTEN", value_name = "URL", default_value = "http://127.0.0.1:4600", value_parser = admin)]
    admin: SocketAddr,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

/// The answer.
pub struct Answer {
    /// The decision.
    pub allowed: bool,
    /// What to print.
    pub text: String,
}

/// Why there is no answer, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoAnswer(String);

/// Asks.
///
/// # Errors
/// [`NoAnswer`]: no server was reached, or it cannot answer the question.
pub async fn ask(explain: &Explain) -> anyhow::Result<Answer> {
    let question = explain.question()?;
    let body = serde_json::to_vec(&question).context("cannot write the question")?;
    let address = explain.admin;
    let unreachable =
        |what: String| NoAnswer(format!("no answer from the admin listener at {address}: {what}"));
    let (status, body) = match timeout(PATIENCE, post(address, body)).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(unreachable(format!("{error:#}")).into()),
        Err(_) => return Err(unreachable("it takes too long".to_owned()).into()),
    };
    if status != StatusCode::OK {
        let text = String::from_utf8_lossy(&body);
        return Err(NoAnswer(text.trim_end().escape_debug().to_string()).into());
    }
    let answer: Explanation = serde_json::from_slice(&body)
        .map_err(|error| unreachable(format!("it is no explanation: {error}")))?;
    let text = if explain.json {
        serde_json::to_string_pretty(&answer).context("cannot write the answer")? + "\n"
    } else {
        text(&answer)
    };
    Ok(Answer { allowed: answer.allowed, text })
}

async fn post(address: SocketAddr, body: Vec<u8>) -> anyhow::Result<(StatusCode, Bytes)> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .method(Method::POST)
        .uri("/explain")
        .header(HOST, address.to_string())
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        anyhow::Ok((status, body))
    };
    // The connection works as long as the exchange does.
    let mut exchange = std::pin::pin!(exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = connection => {
            ended?;
            exchange.await
        }
    }
}

impl Explain {
    fn question(&self) -> Result<Question, NoAnswer> {
        let mut encryption_context = BTreeMap::new();
        for (name, value) in &self.context {
            if encryption_context.insert(name.clone(), value.clone()).is_some() {
                let name = name.escape_debug();
                return Err(NoAnswer(format!("`{name}` is given twice in the encryption context")));
            }
        }
        let mut conditions: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, value) in &self.condition {
            conditions.entry(key.clone()).or_default().push(value.clone());
        }
        Ok(Question {
            principal: self.principal.clone(),
            action: self.action.clone(),
            region: self.region.clone(),
            key: self.key.clone(),
            encryption_context,
            conditions: conditions.into_iter().map(|(key, all)| (key, Values::Many(all))).collect(),
            grant_tokens: self.grant_token.clone(),
        })
    }
}

/// `name=value`. The text of the error repeats no value.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// `http://` and a loopback address with its port: the question is not sent in clear to another machine.
fn admin(text: &str) -> Result<SocketAddr, String> {
    let place = text.strip_prefix("http://").unwrap_or(text);
    let place = place.strip_suffix('/').unwrap_or(place);
    let address = match place.strip_prefix("localhost:") {
        Some(port) => {
            port.parse().ok().map(|port| SocketAddr::from((IpAddr::from([127, 0, 0, 1]), port)))
        }
        None => place.parse().ok(),
    };
    match address {
        Some(address) if address.ip().to_canonical().is_loopback() => Ok(address),
        Some(_) => Err("not a loopback address".to_owned()),
        None => Err("expected http://127.0.0.1:PORT".to_owned()),
    }
}

/// The answer for people.
fn text(answer: &Explanation) -> String {
    let mut out = String::new();
    let decision = if answer.allowed { "ALLOWED" } else { "DENIED" };
    let on = answer.resource.as_ref().map(|arn| format!("\n        on {arn}")).unwrap_or_default();
    line(&mut out, &format!("{decision}  {}  {}{on}", answer.principal, answer.action));
    line(&mut out, &format!("reason  {}", reason(answer)));
    if let Some(place) = &answer.delegated_by {
        line(&mut out, &format!("        left to the principal's account by {}", shown(place)));
    }
    if let Some(refusal) = &answer.refusal {
        let text = refusal.message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        line(&mut out, &format!("caller gets  {}{text}", refusal.exception));
    }
    for document in &answer.documents {
        out.push('\n');
        self::document(&mut out, document);
    }
    if !answer.grants.is_empty() {
        line(&mut out, "\ngrants");
        answer.grants.iter().for_each(|one| grant(&mut out, one));
    }
    if !answer.remarks.is_empty() {
        out.push('\n');
        answer.remarks.iter().for_each(|remark| line(&mut out, &format!("note: {remark}")));
    }
    out
}

fn line(out: &mut String, text: &str) {
    // Names come from policies and identity files: nothing of them may steer a terminal.
    let clean = text.split('\n').map(|part| {
        part.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>()
    });
    let _ = writeln!(out, "{}", clean.collect::<Vec<_>>().join("\n"));
}

fn reason(answer: &Explanation) -> String {
    match &answer.why {
        Why::Request => "the request would be refused before policies are asked".to_owned(),
        Why::Statement(place) if answer.allowed => format!("allowed by {}", shown(place)),
        Why::Statement(place) => format!("explicitly denied by {}", shown(place)),
        Why::Grant { id } => format!("allowed by grant {id}"),
        Why::Root => "the root of the account; nothing withholds it".to_owned(),
        Why::NoAllow { layer } => format!("no {layer} allows it"),
    }
}

fn shown(place: &Place) -> String {
    let Place { layer, document, statement, sid, .. } = place;
    let sid = sid.as_ref().map(|sid| format!(" ({sid})")).unwrap_or_default();
    format!("statement {statement}{sid} of {layer} {document}")
}

fn document(out: &mut String, document: &DocumentAnswer) {
    line(out, &format!("{} {}", document.layer, document.name));
    for one in &document.statements {
        let sid = one.sid.as_ref().map(|sid| format!(" ({sid})")).unwrap_or_default();
        let outcome = match &one.outcome {
            StatementOutcome::Applies { reach } => format!("applies, by {reach}"),
            StatementOutcome::NotPrincipal => "not this principal".to_owned(),
            StatementOutcome::NotAction => "not this action".to_owned(),
            StatementOutcome::NotResource => "not this resource".to_owned(),
            StatementOutcome::ConditionFailed { operator, key, absent } => {
                let absent = if *absent { ", which has no value" } else { "" };
                format!("condition fails: {operator} {key}{absent}")
            }
        };
        line(out, &format!("  {}{sid} {}: {outcome}", one.statement, one.effect));
    }
}

fn grant(out: &mut String, grant: &GrantAnswer) {
    let outcome = match grant.outcome {
        GrantOutcome::ToPrincipal => "gives it to the principal",
        GrantOutcome::ToRole => "gives it to the role, within session policies",
        GrantOutcome::ToAccount => "gives it to the account, if an identity policy allows it",
        GrantOutcome::NotPrincipal => "for another principal",
        GrantOutcome::NotOperation => "does not hold the operation",
        GrantOutcome::ConstraintFailed => "its encryption context constraint is not met",
        GrantOutcome::TooNarrow => "narrower than the grant to be made",
        GrantOutcome::NotSpread => "too new to count without its token",
    };
    let name = grant.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    let mark = if grant.decides { "*" } else { " " };
    line(out, &format!(" {mark}{}{name} to {}: {outcome}", grant.id, grant.grantee));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn questions_go_to_this_machine_alone() {
        for (text, port) in [
            ("http://127.0.0.1:1", 1),
            ("127.0.0.1:2", 2),
            ("http://localhost:3/", 3),
            ("[::1]:4", 4),
        ] {
            assert_eq!(admin(text).unwrap().port(), port, "{text}");
        }
        for text in
            ["http://192.0.2.1:1", "https://127.0.0.1:1", "127.0.0.1", "", "http://example.com:1"]
        {
            assert!(admin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn pairs_have_a_name() {
        assert_eq!(pair("a=b=c").unwrap(), ("a".to_owned(), "b=c".to_owned()));
        assert_eq!(pair("a=").unwrap(), ("a".to_owned(), String::new()));
        assert!(pair("=b").is_err());
        assert!(!pair("secret").unwrap_err().contains("secret"));
    }

    #[test]
    fn terminals_are_not_steered() {
        let mut out = String::new();
        line(&mut out, "a\u{1b}[2Jb\nc\r");
        assert_eq!(out, "a\u{fffd}[2Jb\nc\u{fffd}\n");
    }
}
