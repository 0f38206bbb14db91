//! One statement made ready for evaluation.

use crate::arn::{self, ArnPattern, PARTS};
use crate::check::Check;
use crate::document::{Clause, Effect, Statement, Version};
use crate::facts::{PrincipalKind, Request, RequestPrincipal};
use crate::pattern::ActionPattern;
use crate::principal::{AwsPrincipal, Principals};
use crate::template::Match;

/// How a statement reached the principal: as what its Principal element names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reach {
    /// By the ARN or id of the user.
    User,
    /// By the ARN or id of the role whose session the principal is.
    Role,
    /// By the ARN of the role session.
    Session,
    /// By the ARN of the federated user.
    FederatedUser,
    /// By the account, of which the principal is the root user.
    Root,
    /// As everyone, `"*"`.
    Everyone,
    /// By the name of the service.
    Service,
    /// By the identity provider.
    Federated,
    /// By the document, which is attached to the principal and names none.
    Identity,
    /// By the account, of which the principal is not the root user: an Allow hands the decision to
    /// the account's identity policies.
    Account,
}

impl Reach {
    /// Every way, in the order in which one is preferred to the next when a decision is explained.
    pub const ALL: [Self; 10] = [
        Self::User,
        Self::Role,
        Self::Session,
        Self::FederatedUser,
        Self::Root,
        Self::Everyone,
        Self::Service,
        Self::Federated,
        Self::Identity,
        Self::Account,
    ];
}

/// A set of ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reaches(u16);

impl Reaches {
    fn one(reach: Reach) -> Self {
        Self(1 << reach as u16)
    }

    fn when(self, condition: bool, reach: Reach) -> Self {
        if condition { Self(self.0 | 1 << reach as u16) } else { self }
    }

    pub(crate) fn contains(self, reach: Reach) -> bool {
        self.0 & (1 << reach as u16) != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Reach> {
        Reach::ALL.into_iter().filter(move |reach| self.contains(*reach))
    }
}

/// What a document is to the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DocumentKind {
    /// The policy of a resource, such as a key policy: Principal and Resource are needed.
    Resource,
    /// The trust policy of a role: Principal is needed, and the resource is the role itself.
    Trust,
    /// A policy attached to the principal, a boundary or a session policy: no Principal.
    Identity,
    /// A limit set from outside: Principal may be absent, as in service control policies, or
    /// present, as in resource control and endpoint policies.
    Guardrail,
}

/// A statement, read for evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) effect: Effect,
    resources: Option<Clause<Resources>>,
    checks: Vec<Check>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Resources {
    /// `"*"` is among the entries.
    any: bool,
    patterns: Vec<ArnPattern>,
}

/// Why a statement does not apply.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Miss<'a> {
    Principal,
    Action,
    Resource,
    Condition(&'a Check),
}

/// A request with what is worth working out once.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) request: &'a Request<'a>,
    /// The resource by its parts; `None` if there is none, or if it is no ARN.
    arn: Option<[&'a str; PARTS]>,
    /// The principal has a permissions boundary.
    bounded: bool,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(request: &'a Request<'a>) -> Self {
        Self { request, arn: request.resource.and_then(arn::split), bounded: false }
    }

    /// The same, of a principal that has a permissions boundary or not.
    pub(crate) fn bounded(self, bounded: bool) -> Self {
        Self { bounded, ..self }
    }
}

impl Rule {
    pub(crate) fn new(statement: &Statement, version: Version) -> Self {
        let read = |clause: &Clause<Vec<_>>| {
            let (plain, entries) = match clause {
                Clause::Only(entries) => (true, entries),
                Clause::AllBut(entries) => (false, entries),
            };
            let resources = Resources::new(entries, version);
            if plain { Clause::Only(resources) } else { Clause::AllBut(resources) }
        };
        Self {
            effect: statement.effect,
            resources: statement.resources.as_ref().map(read),
            checks: statement.conditions.iter().map(|c| Check::new(c, version)).collect(),
        }
    }

    /// Whether the statement applies to the request, and how it reaches the principal.
    pub(crate) fn apply<'a>(
        &'a self,
        statement: &Statement,
        asked: &Asked<'_>,
        kind: DocumentKind,
    ) -> Result<Reaches, Miss<'a>> {
        let reaches = self.reaches(statement, asked, kind);
        if reaches.is_empty() {
            return Err(Miss::Principal);
        }
        if !covers_action(statement.actions.as_ref(), asked.request.action) {
            return Err(Miss::Action);
        }
        let resource = match &self.resources {
            Some(clause) => self.covers_resource(clause, asked),
            None => kind == DocumentKind::Trust,
        };
        if !resource {
            return Err(Miss::Resource);
        }
        match self.checks.iter().find(|check| !check.holds(asked.request.facts, self.effect)) {
            Some(check) => Err(Miss::Condition(check)),
            None => Ok(reaches),
        }
    }

    fn reaches(&self, statement: &Statement, asked: &Asked<'_>, kind: DocumentKind) -> Reaches {
        let principal = asked.request.principal;
        match (&statement.principals, kind) {
            (None, DocumentKind::Identity | DocumentKind::Guardrail) => {
                Reaches::one(Reach::Identity)
            }
            (None, _) | (Some(_), DocumentKind::Identity) => Reaches::default(),
            (Some(Clause::Only(list)), _) => reaches(list, principal, self.effect),
            // NotPrincipal is for Deny alone; to the Allow it would reach everybody who is not
            // listed, strangers too (IAM User Guide, "NotPrincipal": not supported).
            (Some(Clause::AllBut(_)), _) if self.effect == Effect::Allow => Reaches::default(),
            (Some(Clause::AllBut(list)), _) => Reaches::default()
                .when(asked.bounded || !is_spared(list, principal), Reach::Everyone),
        }
    }

    fn covers_resource(&self, clause: &Clause<Resources>, asked: &Asked<'_>) -> bool {
        match (clause, clause.entries().covers(asked)) {
            (Clause::Only(_), found) => found == Match::Yes,
            (Clause::AllBut(_), Match::Yes) => false,
            (Clause::AllBut(_), Match::No) => true,
            (Clause::AllBut(_), Match::Unclear) => self.effect == Effect::Deny,
        }
    }
}

impl Resources {
    fn new(entries: &[crate::ResourcePattern], version: Version) -> Self {
        Self {
            any: entries.iter().any(|entry| entry.as_str() == "*"),
            patterns: entries
                .iter()
                .filter(|entry| entry.as_str() != "*")
                .map(|entry| ArnPattern::resource(entry.as_str(), version))
                .collect(),
        }
    }

    fn covers(&self, asked: &Asked<'_>) -> Match {
        if self.any {
            return Match::Yes;
        }
        match (asked.request.resource, &asked.arn) {
            (None, _) => Match::No,
            // Resources are named by ARN; a request that says otherwise is a fault of the caller.
            (Some(_), None) => Match::Unclear,
            (Some(_), Some(arn)) => {
                let mut result = Match::No;
                for pattern in &self.patterns {
                    match pattern.matches(arn, asked.request.facts) {
                        Match::Yes => return Match::Yes,
                        Match::No => {}
                        Match::Unclear => result = Match::Unclear,
                    }
                }
                result
            }
        }
    }
}

fn covers_action(clause: Option<&Clause<Vec<ActionPattern>>>, action: &str) -> bool {
    clause.is_some_and(|clause| {
        clause.covers(|entries| entries.iter().any(|entry| entry.covers(action)))
    })
}

/// The ways in which a list of principals reaches this one.
fn reaches(list: &Principals, principal: &RequestPrincipal<'_>, effect: Effect) -> Reaches {
    let denies = effect == Effect::Deny;
    // Who has no AWS identity yet must be let in by the provider's name, not along with everyone.
    let everyone = denies || principal.kind != PrincipalKind::WebIdentity;
    match list {
        Principals::Everyone => Reaches::default().when(everyone, Reach::Everyone),
        Principals::Named { aws, service, federated, canonical_user: _ } => {
            let mut found = Reaches::default();
            for entry in aws {
                found = match entry {
                    AwsPrincipal::Everyone => found.when(everyone, Reach::Everyone),
                    AwsPrincipal::Account { account, partition } => {
                        match account_reach(principal.kind) {
                            Some(reach) => found
                                .when(is_account(principal, account, partition.as_deref()), reach),
                            None => found,
                        }
                    }
                    AwsPrincipal::Arn { arn, .. } => {
                        let found = match own_reach(principal.kind) {
                            Some(reach) => found.when(arn == principal.arn, reach),
                            None => found,
                        };
                        found.when(is_session(principal, arn), Reach::Session)
                    }
                    AwsPrincipal::UniqueId(id) => match own_reach(principal.kind) {
                        Some(reach) => found.when(principal.unique_id == Some(id), reach),
                        None => found,
                    },
                    AwsPrincipal::Impossible(_) | AwsPrincipal::Malformed(_) => found,
                };
            }
            let names = |list: &[String]| {
                list.iter().any(|name| principal.name == Some(name) || (denies && name == "*"))
            };
            match principal.kind {
                PrincipalKind::Service => found.when(names(service), Reach::Service),
                PrincipalKind::WebIdentity => found.when(names(federated), Reach::Federated),
                _ => found,
            }
        }
    }
}

/// Whether a NotPrincipal list spares the principal from its Deny: everything that the principal
/// is must be listed, for a user the account and the user, for a role session the account, the role
/// and the session (IAM User Guide, "NotPrincipal").
fn is_spared(list: &Principals, principal: &RequestPrincipal<'_>) -> bool {
    let Principals::Named { aws, service, federated, canonical_user: _ } = list else {
        return true;
    };
    if aws.contains(&AwsPrincipal::Everyone) {
        return true;
    }
    let account = || {
        aws.iter().any(|entry| {
            matches!(entry, AwsPrincipal::Account { account, partition }
                if is_account(principal, account, partition.as_deref()))
        })
    };
    let own = || {
        aws.iter().any(|entry| match entry {
            AwsPrincipal::Arn { arn, .. } => arn == principal.arn,
            AwsPrincipal::UniqueId(id) => principal.unique_id == Some(id),
            _ => false,
        })
    };
    let session = || {
        aws.iter().any(
            |entry| matches!(entry, AwsPrincipal::Arn { arn, .. } if is_session(principal, arn)),
        )
    };
    let named = |names: &[String]| names.iter().any(|name| principal.name == Some(name));
    match principal.kind {
        PrincipalKind::Root => account(),
        PrincipalKind::User | PrincipalKind::FederatedUser => account() && own(),
        PrincipalKind::RoleSession => account() && own() && session(),
        PrincipalKind::Service => named(service),
        PrincipalKind::WebIdentity => named(federated),
    }
}

fn is_account(principal: &RequestPrincipal<'_>, account: &str, partition: Option<&str>) -> bool {
    account == principal.account
        && partition.is_none_or(|partition| partition == principal.partition)
}

fn is_session(principal: &RequestPrincipal<'_>, arn: &str) -> bool {
    principal.kind == PrincipalKind::RoleSession && principal.session_arn == Some(arn)
}

/// What naming its account is to a principal; nothing to one that is in no account.
fn account_reach(kind: PrincipalKind) -> Option<Reach> {
    match kind {
        PrincipalKind::Root => Some(Reach::Root),
        PrincipalKind::User | PrincipalKind::RoleSession | PrincipalKind::FederatedUser => {
            Some(Reach::Account)
        }
        PrincipalKind::Service | PrincipalKind::WebIdentity => None,
    }
}

/// What naming its own ARN or id is to a principal.
fn own_reach(kind: PrincipalKind) -> Option<Reach> {
    match kind {
        PrincipalKind::User => Some(Reach::User),
        PrincipalKind::RoleSession => Some(Reach::Role),
        PrincipalKind::FederatedUser => Some(Reach::FederatedUser),
        PrincipalKind::Root | PrincipalKind::Service | PrincipalKind::WebIdentity => None,
    }
}
