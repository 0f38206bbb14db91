//! One request, one road.
//!
//! ```text
//! parse target → authenticate → decode and validate → resolve → authorize
//!              → contradiction, usage, state, sizes → DryRun exit → act → respond
//! ```
//! Where request quotas are set, the request counts as soon as its group is known: after
//! authentication, decoding or resolving ([`crate::throttling`]).
//!
//! Every operation travels it, none repeats a step of it. The order is the specification's
//! (behaviour.md 5.6): an unsigned caller learns nothing of the body's faults, an unauthorized one
//! nothing of a key's state.

use std::future::Future;
use std::pin::Pin;

use keystead_model::{DecodeError, Input, OperationName, Output};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Operation, Reads, Writes};
use crate::ops;
use crate::proofs::{Usable, authorize};
use crate::service::{Answer, RawRequest, Reply, RequestId, Service};
use crate::throttling::Toll;
use crate::usage::Used;

/// How often a request that keeps losing races for a record is begun anew.
const ATTEMPTS: usize = 100;

/// The reply of an operation, on its way.
pub(crate) type Travelling<'a> = Pin<Box<dyn Future<Output = Result<Reply>> + Send + 'a>>;

/// Takes a request from its headers to its reply.
pub(crate) async fn answer(service: &Service, raw: RawRequest<'_>) -> Answer {
    let target = raw.headers.get("x-amz-target").and_then(|value| value.to_str().ok());
    let Some(operation) = target.and_then(OperationName::from_target) else {
        return Answer { operation: "unknown", result: Err(Error::unknown_operation()) };
    };
    let result = match Caller::authenticate(service, &raw, "kms") {
        Ok(caller) => (ops::row(operation).run)(service, caller, raw.request_id, raw.body).await,
        Err(error) => Err(Error::unauthenticated(&error)),
    };
    Answer { operation: operation.as_str(), result }
}

/// The road of operation `O` after authentication. One box for all of it: see [`ops::row`].
pub(crate) fn travel<'a, O: Operation, W: Way<O>>(
    service: &'a Service,
    caller: Caller,
    request: RequestId,
    body: &'a [u8],
) -> Travelling<'a> {
    Box::pin(async move {
        let mut toll = Toll::begin(service, &caller, O::FACTS.name)?;
        let result = journey::<O, W>(service, &caller, request, body, &mut toll).await;
        toll.end(&caller)?;
        result
    })
}

async fn journey<O: Operation, W: Way<O>>(
    service: &Service,
    caller: &Caller,
    request: RequestId,
    body: &[u8],
    toll: &mut Toll<'_>,
) -> Result<Reply> {
    let input = O::Input::decode(body).map_err(refused)?;
    toll.decoded::<O>(caller, &input)?;
    no_recipient(&input)?;
    O::check(service, caller, &input)?;
    for _ in 0..ATTEMPTS {
        match attempt::<O, W>(service, caller, request, &input, toll).await {
            Err(error) if error.is_conflict() => tokio::task::yield_now().await,
            Err(error) => match error.first_use() {
                // A dry run makes nothing.
                Some(by) if !input.dry_run() => service.create_managed_key(caller, by).await?,
                _ => return Err(error),
            },
            Ok(output) => return Ok(output.encode()),
        }
    }
    Err(Error::conflict())
}

async fn attempt<O: Operation, W: Way<O>>(
    service: &Service,
    caller: &Caller,
    request: RequestId,
    input: &O::Input,
    toll: &mut Toll<'_>,
) -> Result<O::Output> {
    let target = O::resolve(service, caller, input).await?;
    toll.resolved(caller, &target, &O::FACTS)?;
    let authorized = authorize::<O>(service, caller, target, input).await?;
    let usable = authorized.usable::<O>()?;
    O::fits(&usable, input)?;
    O::verify(service, caller, &usable, input).await?;
    if input.dry_run() {
        return Err(Error::dry_run());
    }
    let used = Used::by::<O>(&usable);
    let output = W::act(service, caller, usable, input).await?;
    // Here alone: what fails, and what is tried dry, uses no key.
    if let Some(used) = used {
        service.note(used, request).await;
    }
    Ok(output)
}

/// How an operation ends: by an answer alone, or by a commit and then an answer.
pub(crate) trait Way<O: Operation>: 'static {
    fn act(
        service: &Service,
        caller: &Caller,
        usable: Usable<O::Target>,
        input: &O::Input,
    ) -> impl Future<Output = Result<O::Output>> + Send;
}

/// The way of operations that change nothing.
pub(crate) struct Reading;

/// The way of operations that change something.
pub(crate) struct Writing;

impl<O: Reads> Way<O> for Reading {
    fn act(
        service: &Service,
        caller: &Caller,
        usable: Usable<O::Target>,
        input: &O::Input,
    ) -> impl Future<Output = Result<O::Output>> + Send {
        O::act(service, caller, usable, input)
    }
}

impl<O: Writes> Way<O> for Writing {
    async fn act(
        service: &Service,
        caller: &Caller,
        usable: Usable<O::Target>,
        input: &O::Input,
    ) -> Result<O::Output> {
        let mut change = O::act(service, caller, usable, input).await?;
        change.draft.commit(service).await?;
        Ok(change.answer)
    }
}

fn refused(error: DecodeError) -> Error {
    match error {
        DecodeError::Serialization(_) => Error::serialization(),
        DecodeError::Validation(message) => Error::validation(message),
    }
}

/// Attestation documents cannot be verified yet: a request that carries one is refused, whatever
/// it asks for, so that no plaintext goes where only an enclave should read it. On operations that
/// take no Recipient it is an unknown member and ignored.
fn no_recipient(input: &impl Input) -> Result<()> {
    match input.recipient() {
        Some(_) => Err(Error::unsupported("Recipient is not supported.")),
        None => Ok(()),
    }
}
