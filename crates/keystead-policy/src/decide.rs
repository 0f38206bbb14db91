//! All documents of a request: the decision.
//!
//! An explicit Deny anywhere ends the request. After that every guardrail must allow, and then the
//! resource and the principal's own side together (AWS KMS Developer Guide, "Troubleshooting key
//! access"; IAM User Guide, "Policy evaluation logic").

use crate::document::Policy;
use crate::evaluate::{StatementTrace, Verdict};
use crate::facts::{Facts, PrincipalKind, Request};
use crate::rule::{Asked, DocumentKind, Reach};

/// Everything that has a say in a request.
#[derive(Clone, Copy, Default)]
pub struct Documents<'a> {
    /// The policy of the resource; `None` for an action on no resource, or on one that has none:
    /// then the principal's own policies decide.
    pub resource_policy: Option<&'a Policy>,
    /// The account that owns the resource. A resource whose owner is not known is one of another
    /// account.
    pub resource_account: Option<&'a str>,
    /// The policies attached to the principal.
    pub identity: &'a [&'a Policy],
    /// The permissions boundary of the principal.
    pub boundary: Option<&'a Policy>,
    /// The session policies; `None` if the session has none, or if it is no session.
    pub session: Option<&'a [&'a Policy]>,
    /// Sets of service control, resource control and endpoint policies, in this order. Each set
    /// with a policy in it must allow.
    pub guardrails: &'a [&'a [&'a Policy]],
    /// What the policy of the resource may ask about, where that is less than the other documents
    /// may; `None`: the same.
    pub resource_facts: Option<&'a dyn Facts>,
    /// What a grant on the resource gives to the principal for this action.
    pub grant: Grant,
}

/// What a grant gives. Whether it holds the action and its constraints are met is checked before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Grant {
    /// Nothing.
    #[default]
    None,
    /// The action, to the principal itself.
    ToPrincipal {
        /// The grantee is the role, not the session: session policies limit what it gives.
        role: bool,
    },
    /// The action, to the principal's account, whose identity policies must allow it as well.
    ToAccount,
}

/// A kind of document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// A guardrail.
    ServiceControl,
    /// The policy of the resource.
    Resource,
    /// The permissions boundary.
    Boundary,
    /// A session policy.
    Session,
    /// A policy attached to the principal.
    Identity,
}

/// The answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Decision {
    /// Whether the request may go on.
    pub allowed: bool,
    /// What decided.
    pub reason: Reason,
    /// The statement of the resource's policy which left an allowed request to the principal's
    /// account, or admitted a principal of another account.
    pub delegated_by: Option<usize>,
}

/// What decided. Of several reasons to deny it is the first: explicit before implicit, and each in
/// the order of [`Layer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A statement allows.
    AllowedBy {
        /// The kind of document that it stands in.
        layer: Layer,
        /// The place of the document among those of its kind, from 0.
        document: usize,
        /// The place of the statement in its document, from 0.
        statement: usize,
    },
    /// A grant allows, and no policy does.
    AllowedByGrant,
    /// The root user may do in its own account what no document withholds.
    AllowedToRoot,
    /// A statement denies.
    Explicit {
        /// The kind of document that it stands in.
        layer: Layer,
        /// The place of the document among those of its kind, from 0. Guardrails are counted
        /// through all sets.
        document: usize,
        /// The place of the statement in its document, from 0.
        statement: usize,
    },
    /// No statement of this kind of document allows.
    Implicit {
        /// The kind of document.
        layer: Layer,
    },
}

/// Decides a request. Without an Allow it is denied.
pub fn decide(request: &Request<'_>, documents: &Documents<'_>) -> Decision {
    decide_as(request, documents, DocumentKind::Resource)
}

/// What became of one document of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentTrace {
    /// The kind of document.
    pub layer: Layer,
    /// The place of the document among those of its kind, from 0, as in [`Reason`].
    pub document: usize,
    /// What became of its statements, in the order written.
    pub statements: Vec<StatementTrace>,
}

/// Every document of a request that [`decide`] decides, with what becomes of each statement, in the
/// order of [`Layer`].
#[must_use]
pub fn explain(request: &Request<'_>, documents: &Documents<'_>) -> Vec<DocumentTrace> {
    let (asked, bounded) = in_turn(request, documents);
    let mut traces = Vec::new();
    let mut hear = |policies: &[&Policy], layer, asked: &Asked<'_>, kind| {
        for policy in policies {
            let earlier = traces.iter().filter(|one: &&DocumentTrace| one.layer == layer);
            let document = earlier.count();
            traces.push(DocumentTrace { layer, document, statements: policy.trace(asked, kind) });
        }
    };
    for set in documents.guardrails {
        hear(set, Layer::ServiceControl, &asked, DocumentKind::Guardrail);
    }
    if let Some(policy) = documents.resource_policy {
        let request = of_resource(request, documents);
        let by_resource = Asked::new(&request).bounded(documents.boundary.is_some());
        hear(&[policy], Layer::Resource, &by_resource, DocumentKind::Resource);
    }
    if let Some(policy) = documents.boundary {
        hear(&[policy], Layer::Boundary, &bounded, DocumentKind::Identity);
    }
    hear(documents.session.unwrap_or_default(), Layer::Session, &bounded, DocumentKind::Identity);
    hear(documents.identity, Layer::Identity, &bounded, DocumentKind::Identity);
    traces
}

/// Decides a request to assume a role, whose trust policy is given as the policy of the resource.
pub fn decide_trust(request: &Request<'_>, documents: &Documents<'_>) -> Decision {
    decide_as(request, documents, DocumentKind::Trust)
}

fn decide_as(request: &Request<'_>, documents: &Documents<'_>, kind: DocumentKind) -> Decision {
    match weigh(request, documents, kind) {
        Ok((reason, delegated_by)) => Decision { allowed: true, reason, delegated_by },
        Err(reason) => Decision { allowed: false, reason, delegated_by: None },
    }
}

/// An Allow with the statement that delegated, or the reason to deny.
type Weighed = Result<(Reason, Option<usize>), Reason>;

fn weigh(request: &Request<'_>, documents: &Documents<'_>, kind: DocumentKind) -> Weighed {
    let (asked, bounded) = in_turn(request, documents);
    let guarded = guardrails(documents.guardrails, &asked)?;
    let asked = bounded;
    let resource = match documents.resource_policy {
        None => None,
        Some(policy) => {
            let request = of_resource(request, documents);
            let by_resource = Asked::new(&request).bounded(documents.boundary.is_some());
            let verdict = policy.evaluate(&by_resource, kind);
            explicit(&verdict, Layer::Resource, 0)?;
            Some(verdict)
        }
    };
    let own = Own {
        boundary: match documents.boundary {
            None => true,
            Some(policy) => survey(&[policy], &asked, Layer::Boundary)?.is_some(),
        },
        session: match documents.session {
            None => true,
            Some(policies) => survey(policies, &asked, Layer::Session)?.is_some(),
        },
        identity: match survey(documents.identity, &asked, Layer::Identity)? {
            Some(found) => Some(found),
            // Root users have no policies; nothing withholds from them what is their account's.
            None if request.principal.kind == PrincipalKind::Root => Some(Reason::AllowedToRoot),
            None => None,
        },
    };
    if !guarded {
        return Err(Reason::Implicit { layer: Layer::ServiceControl });
    }

    let account = request.principal.account;
    let in_account =
        !matches!(request.principal.kind, PrincipalKind::Service | PrincipalKind::WebIdentity);
    match resource {
        None if documents.resource_account.is_some_and(|owner| owner != account) => {
            Err(Reason::Implicit { layer: Layer::Resource })
        }
        None => Ok((own.allows()?, None)),
        Some(verdict) if !in_account => outsider(&verdict, documents.grant),
        Some(verdict) if documents.resource_account == Some(account) => {
            same_account(&verdict, &own, documents.grant)
        }
        Some(verdict) => cross_account(&verdict, &own, documents.grant),
    }
}

/// The request as guardrails are asked about it, and as all other documents are: to these a Deny
/// with NotPrincipal hits every principal that has a permissions boundary, listed or not (IAM User
/// Guide, "NotPrincipal").
fn in_turn<'a>(request: &'a Request<'a>, documents: &Documents<'_>) -> (Asked<'a>, Asked<'a>) {
    let asked = Asked::new(request);
    (asked, asked.bounded(documents.boundary.is_some()))
}

/// The request as the policy of the resource is asked about it.
fn of_resource<'a>(request: &Request<'a>, documents: &Documents<'a>) -> Request<'a> {
    Request { facts: documents.resource_facts.unwrap_or(request.facts), ..*request }
}

/// What the principal's side says.
struct Own {
    /// The boundary allows, or there is none.
    boundary: bool,
    /// A session policy allows, or there is none.
    session: bool,
    /// What allows among the identity policies.
    identity: Option<Reason>,
}

impl Own {
    /// Whether boundary and session policies let an Allow through.
    fn limits(&self) -> Result<(), Reason> {
        if !self.boundary {
            return Err(Reason::Implicit { layer: Layer::Boundary });
        }
        self.session()
    }

    fn session(&self) -> Result<(), Reason> {
        if self.session { Ok(()) } else { Err(Reason::Implicit { layer: Layer::Session }) }
    }

    /// Whether identity policies allow, within the limits.
    fn allows(&self) -> Result<Reason, Reason> {
        self.limits()?;
        self.identity.ok_or(Reason::Implicit { layer: Layer::Identity })
    }
}

/// Services, and web identities that are about to assume a role: no identity policies.
fn outsider(verdict: &Verdict, grant: Grant) -> Weighed {
    match [Reach::Service, Reach::Federated, Reach::Everyone]
        .iter()
        .find_map(|reach| verdict.allowed(*reach))
    {
        Some(statement) => Ok((by_resource(statement), None)),
        None if matches!(grant, Grant::ToPrincipal { .. }) => Ok((Reason::AllowedByGrant, None)),
        None => Err(Reason::Implicit { layer: Layer::Resource }),
    }
}

fn same_account(verdict: &Verdict, own: &Own, grant: Grant) -> Weighed {
    // Boundary and session policies do not limit these (IAM User Guide, "Evaluating effective
    // permissions with boundaries"); they limit whatever reaches the role.
    let direct = [Reach::User, Reach::Session, Reach::FederatedUser, Reach::Root, Reach::Everyone];
    if let Some(statement) = direct.iter().find_map(|reach| verdict.allowed(*reach)) {
        return Ok((by_resource(statement), None));
    }
    // The first thing that is missing on a way that leads somewhere.
    let mut missing = None;
    if let Some(statement) = verdict.allowed(Reach::Role) {
        match own.limits() {
            Ok(()) => return Ok((by_resource(statement), None)),
            Err(reason) => missing = Some(reason),
        }
    }
    if let Some(statement) = verdict.allowed(Reach::Account) {
        match own.allows() {
            Ok(reason) => return Ok((reason, Some(statement))),
            Err(reason) => missing = missing.or(Some(reason)),
        }
    }
    by_grant(own, grant, missing)
}

/// The owner of the resource must admit the principal or its account, and the principal's account
/// must allow it; a grant to the principal itself is enough alone.
fn cross_account(verdict: &Verdict, own: &Own, grant: Grant) -> Weighed {
    let mut missing = None;
    if let Some(statement) = verdict.allowed_any() {
        match own.allows() {
            Ok(Reason::AllowedToRoot) => return Ok((by_resource(statement), Some(statement))),
            Ok(reason) => return Ok((reason, Some(statement))),
            Err(reason) => missing = Some(reason),
        }
    }
    by_grant(own, grant, missing)
}

fn by_grant(own: &Own, grant: Grant, missing: Option<Reason>) -> Weighed {
    let granted = match grant {
        Grant::None => Err(Reason::Implicit { layer: Layer::Resource }),
        Grant::ToPrincipal { role: false } => Ok(()),
        Grant::ToPrincipal { role: true } => own.session(),
        Grant::ToAccount => own.allows().map(|_| ()),
    };
    match granted {
        Ok(()) => Ok((Reason::AllowedByGrant, None)),
        Err(reason) => Err(missing.unwrap_or(reason)),
    }
}

fn by_resource(statement: usize) -> Reason {
    Reason::AllowedBy { layer: Layer::Resource, document: 0, statement }
}

fn explicit(verdict: &Verdict, layer: Layer, document: usize) -> Result<(), Reason> {
    match verdict.denied() {
        Some(statement) => Err(Reason::Explicit { layer, document, statement }),
        None => Ok(()),
    }
}

/// Whether every set with a policy in it allows; an explicit Deny in any ends it.
fn guardrails(sets: &[&[&Policy]], asked: &Asked<'_>) -> Result<bool, Reason> {
    let (mut all, mut document) = (true, 0);
    for set in sets {
        let mut allowed = set.is_empty();
        for policy in *set {
            let verdict = policy.evaluate(asked, DocumentKind::Guardrail);
            explicit(&verdict, Layer::ServiceControl, document)?;
            allowed |= verdict.allowed_any().is_some();
            document += 1;
        }
        all &= allowed;
    }
    Ok(all)
}

/// The first statement that allows among the principal's own documents of one kind; an explicit
/// Deny in any ends it.
fn survey(policies: &[&Policy], asked: &Asked<'_>, layer: Layer) -> Result<Option<Reason>, Reason> {
    let mut found = None;
    for (document, policy) in policies.iter().enumerate() {
        let verdict = policy.evaluate(asked, DocumentKind::Identity);
        explicit(&verdict, layer, document)?;
        if let Some(statement) = verdict.allowed(Reach::Identity) {
            found.get_or_insert(Reason::AllowedBy { layer, document, statement });
        }
    }
    Ok(found)
}
