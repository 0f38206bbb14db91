//! The answer to a question: as JSON on the admin listener, as text by the command.

use keystead_policy::{Effect, Grant as Reached, Reach};
use serde::{Deserialize, Serialize};

use super::{Looked, TOLD};
use crate::authorization::Obstacle;
use crate::caller::Caller;
use crate::error::{Error, Fault, Result};

/// Whether a principal would be allowed, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The decision.
    pub allowed: bool,
    /// Who was asked about, as error texts name it: of a role its session.
    pub principal: String,
    /// The action with its `kms:` prefix.
    pub action: String,
    /// The Region.
    pub region: String,
    /// The ARN acted upon; absent if there is none, or if the request would not get that far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// What decided.
    pub why: Why,
    /// The statement of the key policy that left an allowed request to the principal's account, or
    /// admitted a principal of another account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegated_by: Option<Place>,
    /// Every document that has a say, in the order in which they are asked.
    pub documents: Vec<DocumentAnswer>,
    /// The grants of the key, where the action is one that grants can give.
    pub grants: Vec<GrantAnswer>,
    /// What the caller would be told; absent if allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// What else is worth knowing.
    pub remarks: Vec<String>,
}

/// What decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Why {
    /// The request would be refused before any policy is asked.
    Request,
    /// A statement allows, or explicitly denies.
    Statement(Place),
    /// A grant allows, and no policy does.
    Grant {
        /// Its id.
        id: String,
    },
    /// The root of an account may do in it what no document withholds.
    Root,
    /// No statement of this kind of document allows, and one has to.
    NoAllow {
        /// The kind of document.
        layer: String,
    },
}

/// A statement by its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The kind of document: `guardrail`, `key policy`, `permissions boundary`, `session policy`,
    /// `identity policy`.
    pub layer: String,
    /// The document: the ARN of a managed policy, the place of another within the identity file, of
    /// a key policy the key's ARN.
    pub document: String,
    /// The place of the statement in the document, from 0.
    pub statement: usize,
    /// Its Sid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// `Allow` or `Deny`.
    pub effect: String,
}

/// A document and what became of its statements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentAnswer {
    /// The kind of document, as in [`Place`].
    pub layer: String,
    /// The document, as in [`Place`].
    pub name: String,
    /// Its statements, in the order written.
    pub statements: Vec<StatementAnswer>,
}

/// What became of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementAnswer {
    /// Its place in the document, from 0.
    pub statement: usize,
    /// Its Sid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// `Allow` or `Deny`.
    pub effect: String,
    /// Whether it applies.
    #[serde(flatten)]
    pub outcome: StatementOutcome,
}

/// Whether a statement applies, or what first kept it from applying. It holds no value of the
/// question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum StatementOutcome {
    /// It applies.
    Applies {
        /// As what it reaches the principal: `user`, `role`, `session`, `root`, `account`,
        /// `everyone`, or `identity` for a document that is the principal's own.
        reach: String,
    },
    /// It is not for the principal.
    NotPrincipal,
    /// It does not cover the action.
    NotAction,
    /// It does not cover the resource.
    NotResource,
    /// A condition does not hold.
    ConditionFailed {
        /// The operator.
        operator: String,
        /// The condition key.
        key: String,
        /// Whether the question gives the key no value.
        absent: bool,
    },
}

/// A grant and what it comes to. Its constraints are not told: they hold encryption context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantAnswer {
    /// Its id.
    pub id: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Who may use it.
    pub grantee: String,
    /// For what.
    pub operations: Vec<String>,
    /// What it gives.
    pub outcome: GrantOutcome,
    /// Whether it is by this grant that the request is allowed.
    pub decides: bool,
}

/// What a grant gives, or what first kept it from giving anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantOutcome {
    /// The action, to the principal.
    ToPrincipal,
    /// The action, to the role: session policies limit it.
    ToRole,
    /// The action, to the account: identity policies have to allow it as well.
    ToAccount,
    /// It is for another principal.
    NotPrincipal,
    /// It does not hold the operation.
    NotOperation,
    /// Its encryption context constraint is not met.
    ConstraintFailed,
    /// The grant to be made would be wider than it.
    TooNarrow,
    /// It is too new to count without its token.
    NotSpread,
}

/// An exception as the caller would get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The exception's name.
    pub exception: String,
    /// Its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Refusal {
    pub(super) fn of(error: &Error) -> Self {
        Self {
            exception: error.type_name().to_owned(),
            message: error.message().map(str::to_owned),
        }
    }
}

impl Explanation {
    pub(super) fn begin(caller: &Caller, action: &str) -> Self {
        Self {
            allowed: false,
            principal: caller.principal().shown_arn().to_owned(),
            action: format!("kms:{action}"),
            region: caller.region().as_str().to_owned(),
            resource: None,
            why: Why::Request,
            delegated_by: None,
            documents: Vec::new(),
            grants: Vec::new(),
            refusal: None,
            remarks: Vec::new(),
        }
    }

    /// A request that does not get as far as policies.
    ///
    /// # Errors
    /// What is no refusal but a fault of ours.
    pub(super) fn refused(mut self, error: Error, remark: &str) -> Result<Self> {
        if error.fault() == Fault::Server {
            return Err(error);
        }
        self.refusal = Some(Refusal::of(&error));
        self.remarks.push(remark.to_owned());
        Ok(self)
    }

    pub(super) fn tell_grants(&mut self, looked: Looked, decides: bool) {
        let Looked { grants, best, untold } = looked;
        self.grants = grants;
        if let (true, Some((_, index))) = (decides, best)
            && let Some(grant) = self.grants.get_mut(index)
        {
            grant.decides = true;
        }
        if untold > 0 {
            self.remarks.push(format!(
                "{untold} more grants of the key are not told, beyond the first {TOLD}; none of \
                 them gives more than these"
            ));
        }
    }

    /// The id of the grant that decided.
    pub(super) fn deciding_grant(&self) -> String {
        let mut grants = self.grants.iter();
        grants.find(|grant| grant.decides).map(|grant| grant.id.clone()).unwrap_or_default()
    }

    /// A statement by the place that the decision tells.
    pub(super) fn place(&self, layer: &str, document: usize, statement: usize) -> Place {
        let mut documents = self.documents.iter().filter(|document| document.layer == layer);
        let document = documents.nth(document);
        let found = document.and_then(|document| document.statements.get(statement));
        Place {
            layer: layer.to_owned(),
            document: document.map(|document| document.name.clone()).unwrap_or_default(),
            statement,
            sid: found.and_then(|found| found.sid.clone()),
            effect: found.map(|found| found.effect.clone()).unwrap_or_default(),
        }
    }
}

pub(super) fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "Allow",
        Effect::Deny => "Deny",
    }
}

pub(super) fn reach_name(reach: Reach) -> &'static str {
    match reach {
        Reach::User => "user",
        Reach::Role => "role",
        Reach::Session => "session",
        Reach::FederatedUser => "federated user",
        Reach::Root => "root",
        Reach::Everyone => "everyone",
        Reach::Service => "service",
        Reach::Federated => "identity provider",
        Reach::Identity => "identity",
        Reach::Account => "account",
    }
}

pub(super) fn grant_outcome(judged: std::result::Result<Reached, Obstacle>) -> GrantOutcome {
    match judged {
        Ok(Reached::ToPrincipal { role: true }) => GrantOutcome::ToRole,
        Ok(Reached::ToPrincipal { role: false }) => GrantOutcome::ToPrincipal,
        Ok(Reached::ToAccount) => GrantOutcome::ToAccount,
        Ok(Reached::None) | Err(Obstacle::Grantee) => GrantOutcome::NotPrincipal,
        Err(Obstacle::Operation) => GrantOutcome::NotOperation,
        Err(Obstacle::Constraint) => GrantOutcome::ConstraintFailed,
        Err(Obstacle::Wider) => GrantOutcome::TooNarrow,
        Err(Obstacle::NotSpread) => GrantOutcome::NotSpread,
    }
}
