//! The outcome record of one request: gathered on the road, step by step, written at its end.

use std::sync::Arc;

use keystead_audit::{Failure, Object, Record, Resource as Shown};
use keystead_model::{AccountId, OperationName};

use super::listed::{Answered, Audited};
use super::{Trail, identity};
use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::event::EventId;
use crate::keys::KeyEntry;
use crate::operation::{Facts, Resource, Target, Told};
use crate::ops;
use crate::service::{Reply, RequestId, Service};
use crate::write::Draft;

/// What has been learnt of a request so far. Empty and without cost where there is no trail.
///
/// A request that is dropped on its way, or panics, leaves its record all the same: as one that
/// failed with KMSInternalException, since nobody got an answer.
pub(crate) struct Entry<'a> {
    /// `None`: there is no trail, or the record has been written.
    trail: Option<&'a Trail>,
    service: &'a Service,
    caller: &'a Caller,
    request: RequestId,
    name: OperationName,
    parameters: Option<Object>,
    elements: Option<Object>,
    additional: Option<Object>,
    resources: Vec<Named>,
    /// Whether the request names no key, and its ciphertext does.
    unnamed: bool,
    authorized: bool,
    /// Whether the record is durable: it went along with the change that it is about.
    committed: bool,
    /// Whether a commit that holds this record is being made, or failed and may stand all the same.
    doubtful: bool,
}

/// What a request used.
enum Named {
    Key(Arc<KeyEntry>),
    /// An alias, or a key that the request made: of the caller's account.
    Own(String),
}

/// The lines of one request: the caller's copy, then those of other accounts.
pub(crate) type Lines = Vec<(EventId, Vec<u8>)>;

impl<'a> Entry<'a> {
    /// Begins the record of an authenticated request.
    ///
    /// # Errors
    /// KMSInternalException while records cannot be kept: then nothing is done at all.
    pub(crate) fn begin(
        service: &'a Service,
        caller: &'a Caller,
        request: RequestId,
        name: OperationName,
    ) -> Result<Self> {
        let trail = service.trail.as_deref();
        if let Some(trail) = trail {
            trail.admit()?;
        }
        Ok(Self {
            trail,
            service,
            caller,
            request,
            name,
            parameters: None,
            elements: None,
            additional: None,
            resources: Vec::new(),
            unnamed: false,
            authorized: false,
            committed: false,
            doubtful: false,
        })
    }

    /// The request has been read. Before that nothing of it is shown.
    pub(crate) fn decoded(&mut self, input: &impl Audited, dry_run: bool) {
        if self.trail.is_none() {
            return;
        }
        let mut parameters = Object::parameters();
        input.parameters(&mut parameters);
        if dry_run {
            parameters.boolean("dryRun", true);
        }
        self.parameters = Some(parameters);
    }

    /// What the request names has been found. Begins an attempt: whatever one before came to is
    /// forgotten.
    pub(crate) fn resolved(&mut self, target: &impl Target, facts: &Facts) {
        if self.trail.is_none() {
            return;
        }
        self.authorized = false;
        self.unnamed = false;
        self.elements = None;
        self.additional = None;
        self.resources.clear();
        for demand in target.demands(facts).iter().flatten() {
            // The key that an alias leaves, the successor of a primary key.
            let aside = !demand.used
                && matches!(
                    self.name,
                    OperationName::CreateAlias
                        | OperationName::UpdateAlias
                        | OperationName::UpdatePrimaryRegion
                );
            match &demand.resource {
                Some(Resource::Key(_)) if aside => {}
                Some(Resource::Key(key)) => {
                    self.unnamed |=
                        demand.told == Told::OfCiphertext && self.name == OperationName::Decrypt;
                    self.resources.push(Named::Key(Arc::clone(key)));
                }
                Some(Resource::Grant { key, grant }) => {
                    let mut additional = Object::additional();
                    additional.text("grantId", &grant.place.id);
                    self.additional = Some(additional);
                    self.resources.push(Named::Key(Arc::clone(key)));
                }
                Some(Resource::Alias(name)) => {
                    let (region, account) = (self.caller.region(), self.caller.account());
                    let arn = keystead_model::alias_arn(region, &account, name.as_str());
                    self.resources.push(Named::Own(arn));
                }
                Some(Resource::Principal(_) | Resource::OutOfReach) | None => {}
            }
        }
        if self.name == OperationName::CreateAlias {
            self.resources.reverse();
        }
    }

    /// The caller may do what it asks.
    pub(crate) fn authorized(&mut self) {
        self.authorized = true;
    }

    /// The operation has been done, or is about to be committed.
    pub(crate) fn answered(&mut self, answer: &impl Answered) {
        if self.trail.is_none() {
            return;
        }
        if let Some(arn) = answer.made() {
            self.resources.push(Named::Own(arn.to_owned()));
        }
        if ops::row(self.name).changes_state {
            let key = self.resources.iter().find_map(|named| match named {
                Named::Key(key) => Some(key.arn.as_str()),
                Named::Own(_) => None,
            });
            let mut elements = Object::parameters();
            answer.elements(key, &mut elements);
            self.elements = Some(elements);
        }
        let mut additional = self.additional.take().unwrap_or_else(Object::additional);
        answer.additional(&mut additional);
        if self.name == OperationName::Encrypt
            && let Some(Named::Key(key)) = self.resources.first()
            && key.record.is_symmetric()
            && let Some(material) = key.record.current_material()
        {
            additional.text("keyMaterialId", &material.to_string());
        }
        self.additional = Some(additional);
    }

    /// Puts the record into the commit of the change that it is about.
    pub(crate) fn join(&mut self, draft: &mut Draft) {
        if self.trail.is_some() && draft.changes_something() {
            draft.record_first(self.lines(None));
            self.doubtful = true;
        }
    }

    /// The commit has been tried.
    pub(crate) fn committed(&mut self, outcome: &Result<()>) {
        match outcome {
            Ok(()) => self.committed = self.doubtful,
            Err(error) => self.doubtful &= !error.is_conflict(),
        }
    }

    /// Gives the result out, once its record is kept.
    ///
    /// # Errors
    /// The result's own; KMSInternalException if the record cannot be kept.
    pub(crate) async fn close(mut self, result: Result<Reply>) -> Result<Reply> {
        let Some(trail) = self.trail else { return result };
        if self.committed && result.is_ok() {
            self.trail = None;
            return result;
        }
        let lines = self.lines(result.as_ref().err());
        self.trail = None;
        trail.append(lines).await?;
        result
    }

    fn lines(&mut self, error: Option<&Error>) -> Lines {
        let (service, own) = (self.service, self.caller.account());
        let denied = !self.authorized;
        // Of a refused request, the caller's account learns of its own keys alone.
        let mut owners: Vec<AccountId> = Vec::new();
        let mut resources = Vec::with_capacity(self.resources.len());
        for named in &self.resources {
            match named {
                Named::Own(arn) => resources.push(Shown { account_id: own.as_str(), arn }),
                Named::Key(key) => {
                    let owner = &key.record.account;
                    if *owner != own && denied {
                        continue;
                    }
                    if *owner != own && !owners.contains(owner) {
                        owners.push(*owner);
                    }
                    resources.push(Shown { account_id: owner.as_str(), arn: &key.arn });
                }
            }
        }
        if self.unnamed
            && let (Some(parameters), Some(key)) = (&mut self.parameters, resources.first())
        {
            parameters.text("keyId", key.arn);
            self.unnamed = false;
        }
        let none_named = matches!(
            self.name,
            OperationName::GenerateRandom | OperationName::ListAliases | OperationName::ListKeys
        );
        let connection = self.caller.connection();
        let (source, request) = (connection.source.to_string(), self.request.to_string());
        let agent = connection.user_agent.as_ref().map(|agent| agent.as_bytes());
        let agent = agent.map(String::from_utf8_lossy);
        let id = |account: AccountId| match self.doubtful {
            false => EventId::of(&service.keyring, self.request, account),
            true => EventId::after_doubt(&service.keyring, self.request, account),
        };
        let message = error.and_then(|error| shown_message(error));
        let shown = |object: &'_ Option<Object>| object.as_ref().is_some_and(|o| !o.is_empty());
        let own_id = id(own);
        let mut record = Record {
            source_ip_address: Some(&source),
            user_agent: agent.as_deref(),
            error: error.map(|error| Failure { code: code(error), message }),
            request_parameters: self.parameters.as_ref().filter(|_| shown(&self.parameters)),
            response_elements: self
                .elements
                .as_ref()
                .filter(|_| error.is_none() && shown(&self.elements)),
            additional_event_data: self.additional.as_ref().filter(|_| !denied),
            request_id: Some(&request),
            read_only: !ops::row(self.name).changes_state,
            resources: (none_named && error.is_none() || !resources.is_empty())
                .then_some(resources.as_slice()),
            ..Record::api_call(
                own_id.into(),
                service.clock.now(),
                self.name.as_str(),
                self.caller.region().as_str(),
                identity::of(self.caller),
            )
        };
        if owners.is_empty() {
            return vec![(own_id, record.encode())];
        }
        record.shared_event_id = Some(EventId::shared(&service.keyring, self.request).into());
        let mut lines = vec![(own_id, record.encode())];
        record.user_identity = record.user_identity.foreign();
        for owner in &owners {
            let owner_id = id(*owner);
            record.event_id = owner_id.into();
            record.recipient_account_id = Some(owner.as_str());
            lines.push((owner_id, record.encode()));
        }
        lines
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if let Some(trail) = self.trail
            && !self.committed
        {
            let lines = self.lines(Some(&Error::internal("the request was not answered")));
            // Handed over if the queue has room. Nobody waits for it: there is no reply.
            drop(trail.log.append(lines.into_iter().map(|(_, line)| line).collect()));
        }
    }
}

/// The exception's name without a prefix; a refused authorization has a name of its own.
fn code(error: &Error) -> &'static str {
    match error.type_name() {
        "AccessDeniedException" => "AccessDenied",
        name => name,
    }
}

/// The text that was answered, unless it quotes grant tokens.
fn shown_message(error: &Error) -> Option<&str> {
    let quotes = |text: &str| text.contains("at 'grantToken");
    match error.message() {
        Some(text) if error.type_name() == "ValidationException" && quotes(text) => {
            Some("The text of this validation error quotes grant tokens and is not recorded.")
        }
        text => text,
    }
}
