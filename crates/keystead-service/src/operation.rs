//! What an operation is: a type that states its facts and does its act. The steps common to all
//! are the road's ([`crate::road`]) and are driven by those facts.

use std::future::Future;
use std::sync::Arc;

use keystead_crypto::BlobHeader;
use keystead_model::{AliasName, Input, OperationName, Output, Region};

use crate::authorization::{ConditionKeys, Wish};
use crate::caller::Caller;
use crate::error::Result;
use crate::grants::Grant;
use crate::keys::KeyEntry;
use crate::proofs::Usable;
use crate::records::KeyRecord;
use crate::service::Service;
use crate::throttling::Charge;
use crate::write::Change;

/// An operation of the API.
pub(crate) trait Operation: 'static {
    /// The request, decoded and checked against every constraint of the model.
    type Input: Input + ConditionKeys + Send + Sync;
    /// The response.
    type Output: Output + Send;
    /// What the request acts on, resolved: [`Nothing`], [`Key`], [`Sealed`], …
    type Target: Target;

    /// What the operation says of itself.
    const FACTS: Facts;

    /// Rules between parameters that need no key (step 5 of behaviour.md 5.6).
    fn check(_service: &Service, _caller: &Caller, _input: &Self::Input) -> Result<()> {
        Ok(())
    }

    /// What a request counts for by its members, besides its operation's name.
    fn charges(_input: &Self::Input) -> Vec<Charge> {
        Vec::new()
    }

    /// Finds what the request names.
    fn resolve(
        service: &Service,
        caller: &Caller,
        input: &Self::Input,
    ) -> impl Future<Output = Result<Self::Target>> + Send;

    /// The text by which the request names the key that the permission on `action` is about.
    fn key_id<'a>(input: &'a Self::Input, _action: &str) -> Option<&'a str> {
        input.key_id()
    }

    /// What the grants of a key are asked for. An operation whose encryption context is not its
    /// `EncryptionContext` says so.
    fn wish<'a>(input: &'a Self::Input, _action: &str) -> Wish<'a> {
        Wish::Use(input.encryption_context())
    }

    /// What must hold between a usable key and the parameters: algorithm, spec, sizes.
    fn fits(_target: &Usable<Self::Target>, _input: &Self::Input) -> Result<()> {
        Ok(())
    }

    /// What only the store can tell of the request, asked before the DryRun exit.
    fn verify(
        _service: &Service,
        _caller: &Caller,
        _target: &Usable<Self::Target>,
        _input: &Self::Input,
    ) -> impl Future<Output = Result<()>> + Send {
        std::future::ready(Ok(()))
    }
}

/// An operation that changes nothing.
pub(crate) trait Reads: Operation {
    /// Does it. Everything that can refuse has spoken.
    fn act(
        service: &Service,
        caller: &Caller,
        target: Usable<Self::Target>,
        input: &Self::Input,
    ) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// An operation that changes something.
pub(crate) trait Writes: Operation {
    /// Works out the change and the answer. The road commits the change, and only then answers; a
    /// lost race is a conflict, upon which the road is travelled again from `resolve`.
    fn act(
        service: &Service,
        caller: &Caller,
        target: Usable<Self::Target>,
        input: &Self::Input,
    ) -> impl Future<Output = Result<Change<Self::Output>>> + Send;
}

/// What an operation says about itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// Its name.
    pub(crate) name: OperationName,
    /// Which identifiers its `KeyId` may be.
    pub(crate) forms: Forms,
    /// Which keys can be used with it.
    pub(crate) need: Need,
    /// Whether it can be used on keys of other accounts.
    pub(crate) crosses_accounts: bool,
}

/// The forms of `KeyId` (behaviour.md 1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Forms {
    /// Key id and key ARN.
    KeyOnly,
    /// Also alias name and alias ARN.
    Any,
}

/// Usage and spec that an operation needs of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing: a management operation.
    Nothing,
    /// KeyUsage ENCRYPT_DECRYPT, any spec that has it.
    Encryption,
    /// KeyUsage SIGN_VERIFY.
    Signing,
    /// KeyUsage GENERATE_VERIFY_MAC.
    Mac,
    /// KeyUsage KEY_AGREEMENT.
    Agreement,
    /// KeyUsage ENCRYPT_DECRYPT and KeySpec SYMMETRIC_DEFAULT.
    SymmetricEncryption,
}

impl Facts {
    /// A management operation on a key id or key ARN, or on no key.
    pub(crate) const fn management(name: OperationName) -> Self {
        Self { name, forms: Forms::KeyOnly, need: Need::Nothing, crosses_accounts: false }
    }

    /// The same, on any form of key identifier.
    pub(crate) const fn with_aliases(self) -> Self {
        Self { forms: Forms::Any, ..self }
    }

    /// The same, also on keys of other accounts.
    pub(crate) const fn across_accounts(self) -> Self {
        Self { crosses_accounts: true, ..self }
    }

    /// A cryptographic operation.
    pub(crate) const fn cryptographic(name: OperationName, need: Need) -> Self {
        Self { name, forms: Forms::Any, need, crosses_accounts: true }
    }
}

/// One permission that a request needs, and the key state and usage that go with it.
pub(crate) struct Demand<'t> {
    /// The IAM action without its `kms:` prefix.
    pub(crate) action: &'static str,
    /// What it is needed on; `None`: no single resource.
    pub(crate) resource: Option<Resource<'t>>,
    /// Whether the key's state and usage count. Not for the present target of an alias, say.
    pub(crate) used: bool,
    /// How a refusal speaks of the key.
    pub(crate) told: Told,
    /// The Region acted in, where it is not the caller's.
    pub(crate) region: Option<&'t Region>,
    /// The key whose properties a key that does not exist yet will have: a replica's primary.
    pub(crate) model: Option<&'t KeyRecord>,
}

/// How a refusal speaks of the key: as of one that the request might have made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// By its ARN, where it is the caller's account's.
    Named,
    /// As what the ciphertext refers to: nothing else names it.
    OfCiphertext,
    /// As a key that does not exist: named by its bare id, which is one of the caller's account, and
    /// found only because the ciphertext says the same.
    Missing,
}

impl<'t> Demand<'t> {
    /// A permission on a key whose state and usage count.
    pub(crate) fn on_key(action: &'static str, key: &'t Arc<KeyEntry>) -> Self {
        let resource = Some(Resource::Key(key));
        Self { action, resource, used: true, told: Told::Named, region: None, model: None }
    }

    /// A permission on something that is no key, or on nothing.
    pub(crate) fn elsewhere(action: &'static str, resource: Option<Resource<'t>>) -> Self {
        Self { action, resource, used: false, told: Told::Named, region: None, model: None }
    }
}

/// Something a permission can be needed on.
pub(crate) enum Resource<'t> {
    /// A key.
    Key(&'t Arc<KeyEntry>),
    /// An alias, which is always of the caller's account.
    Alias(&'t AliasName),
    /// A principal, by its ARN.
    Principal(&'t str),
    /// A grant to be retired, and its key.
    Grant { key: &'t Arc<KeyEntry>, grant: &'t Grant },
    /// Something of another account's that is not there, or not for the caller: refused, but not
    /// before the permissions asked for earlier, or it would show which of the two they met.
    OutOfReach,
}

/// The permissions that a request needs, in the order they are asked for.
pub(crate) type Demands<'t> = [Option<Demand<'t>>; 4];

/// What a request acts on.
pub(crate) trait Target: Send + Sync {
    /// The permissions needed.
    fn demands(&self, facts: &Facts) -> Demands<'_>;

    /// Whether source and destination are one key, where there are two.
    fn same_key(&self) -> Option<bool> {
        None
    }

    /// A contradiction between what the request names and what it carries, told after
    /// authorization and before key state (step 8 of behaviour.md 5.6).
    fn contradiction(&self) -> Result<()> {
        Ok(())
    }
}

/// An operation on no key.
pub(crate) struct Nothing;

impl Target for Nothing {
    fn demands(&self, facts: &Facts) -> Demands<'_> {
        [Some(Demand::elsewhere(facts.name.as_str(), None)), None, None, None]
    }
}

/// One key, named by the request.
pub(crate) struct Key(pub(crate) Arc<KeyEntry>);

impl Target for Key {
    fn demands(&self, facts: &Facts) -> Demands<'_> {
        [Some(Demand::on_key(facts.name.as_str(), &self.0)), None, None, None]
    }
}

/// A multi-Region primary key and, where it is there, the related key that is to succeed it.
pub(crate) struct Succeeded {
    pub(crate) primary: Arc<KeyEntry>,
    pub(crate) successor: Option<Arc<KeyEntry>>,
}

impl Target for Succeeded {
    fn demands(&self, facts: &Facts) -> Demands<'_> {
        let action = facts.name.as_str();
        // The state of the successor is looked at by the operation, which knows both.
        let successor = self.successor.as_ref().map(|key| Demand {
            used: false,
            region: Some(&key.record.region),
            ..Demand::on_key(action, key)
        });
        [Some(Demand::on_key(action, &self.primary)), successor, None, None]
    }

    /// Told before the key's state: recorded of a replica that was still being made.
    fn contradiction(&self) -> Result<()> {
        crate::multi_region::must_be_primary(&self.primary)
    }
}

/// A key yet to be made, with what comes along with it.
pub(crate) struct New {
    pub(crate) tags: bool,
    pub(crate) policy: bool,
}

impl New {
    /// The permissions to make it; keys that do not exist yet are no resource.
    fn demands_in<'t>(
        &self,
        region: Option<&'t Region>,
        model: Option<&'t KeyRecord>,
    ) -> [Option<Demand<'t>>; 3] {
        let needed = |action| Demand { region, model, ..Demand::elsewhere(action, None) };
        [
            Some(needed("CreateKey")),
            self.tags.then(|| needed("TagResource")),
            self.policy.then(|| needed("PutKeyPolicy")),
        ]
    }
}

impl Target for New {
    fn demands(&self, _: &Facts) -> Demands<'_> {
        let [key, tags, policy] = self.demands_in(None, None);
        [key, tags, policy, None]
    }
}

/// A multi-Region primary key and the related key that is to be made of it.
pub(crate) struct Replicated {
    pub(crate) primary: Arc<KeyEntry>,
    /// Where; `None`: the request names no Region, which is told later.
    pub(crate) region: Option<Region>,
    pub(crate) replica: New,
}

impl Target for Replicated {
    fn demands(&self, facts: &Facts) -> Demands<'_> {
        let [key, tags, policy] =
            self.replica.demands_in(self.region.as_ref(), Some(&self.primary.record));
        [Some(Demand::on_key(facts.name.as_str(), &self.primary)), key, tags, policy]
    }

    /// Told before the key's state: recorded of a replica that was still being made.
    fn contradiction(&self) -> Result<()> {
        crate::multi_region::must_be_primary(&self.primary)
    }
}

/// A key, or none where naming one is optional.
pub(crate) struct OptionalKey(pub(crate) Option<Arc<KeyEntry>>);

impl Target for OptionalKey {
    fn demands(&self, facts: &Facts) -> Demands<'_> {
        // The key is a filter: no permission on it is needed.
        Nothing.demands(facts)
    }
}

/// A ciphertext and the key it is to be opened with: the one the request names, else the one the
/// ciphertext names.
pub(crate) struct Sealed {
    pub(crate) key: Arc<KeyEntry>,
    /// The header of the ciphertext. `None`: it is none of ours, or is not to be looked at.
    pub(crate) header: Option<BlobHeader>,
    /// How a refusal speaks of the key.
    pub(crate) told: Told,
}

impl Sealed {
    fn demand(&self, action: &'static str) -> Demand<'_> {
        Demand { told: self.told, ..Demand::on_key(action, &self.key) }
    }

    fn is_of_another_key(&self) -> bool {
        let id = self.key.record.id;
        self.key.record.is_symmetric()
            && self.header.is_some_and(|header| {
                (header.key_id, header.multi_region) != (*id.bytes(), id.is_multi_region())
            })
            // A ciphertext of ours given with a key of another kind names another key, too.
            || !self.key.record.is_symmetric() && self.header.is_some()
    }
}

impl Target for Sealed {
    fn demands(&self, facts: &Facts) -> Demands<'_> {
        [Some(self.demand(facts.name.as_str())), None, None, None]
    }

    fn contradiction(&self) -> Result<()> {
        if self.is_of_another_key() {
            return Err(crate::error::Error::incorrect_key());
        }
        Ok(())
    }
}

/// A ciphertext with its key, and the key it is to be sealed under anew.
pub(crate) struct ReSealed {
    pub(crate) source: Sealed,
    /// `None`: another account's, and not there or not for the caller.
    pub(crate) destination: Option<Arc<KeyEntry>>,
}

impl Target for ReSealed {
    fn demands(&self, _: &Facts) -> Demands<'_> {
        let action = "ReEncryptTo";
        let to = match &self.destination {
            Some(key) => Demand::on_key(action, key),
            None => Demand::elsewhere(action, Some(Resource::OutOfReach)),
        };
        [Some(self.source.demand("ReEncryptFrom")), Some(to), None, None]
    }

    fn same_key(&self) -> Option<bool> {
        let same = |key: &Arc<KeyEntry>| self.source.key.arn == key.arn;
        Some(self.destination.as_ref().is_some_and(same))
    }

    fn contradiction(&self) -> Result<()> {
        self.source.contradiction()
    }
}

/// An alias with the key it points to and the key it shall point to.
pub(crate) struct Aliased {
    pub(crate) name: AliasName,
    /// The present target, if the alias exists.
    pub(crate) present: Option<Arc<KeyEntry>>,
    /// The new target, if one is given.
    pub(crate) target: Option<Arc<KeyEntry>>,
}

impl Target for Aliased {
    fn demands(&self, facts: &Facts) -> Demands<'_> {
        let action = facts.name.as_str();
        let present = self.present.as_ref().map(|key| Demand::on_key(action, key));
        [
            Some(Demand::elsewhere(action, Some(Resource::Alias(&self.name)))),
            present.map(|demand| Demand { used: false, ..demand }),
            self.target.as_ref().map(|key| Demand::on_key(action, key)),
            None,
        ]
    }
}
