//! What an operation is: a type that states its facts and does its act. The steps common to all
//! are the road's ([`crate::road`]) and are driven by those facts.

use std::future::Future;
use std::sync::Arc;

use keystead_crypto::BlobHeader;
use keystead_model::{AliasName, Input, OperationName, Output};

use crate::caller::Caller;
use crate::error::Result;
use crate::keys::KeyEntry;
use crate::proofs::Usable;
use crate::service::Service;

/// An operation of the API.
pub(crate) trait Operation: 'static {
    /// The request, decoded and checked against every constraint of the model.
    type Input: Input + Send + Sync;
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

    /// Finds what the request names.
    fn resolve(
        service: &Service,
        caller: &Caller,
        input: &Self::Input,
    ) -> impl Future<Output = Result<Self::Target>> + Send;

    /// What must hold between a usable key and the parameters: algorithm, spec, sizes.
    fn fits(_target: &Usable<Self::Target>, _input: &Self::Input) -> Result<()> {
        Ok(())
    }

    /// What only the store can tell of the request, asked before the DryRun exit.
    fn verify(
        _service: &Service,
        _target: &Usable<Self::Target>,
        _input: &Self::Input,
    ) -> impl Future<Output = Result<()>> + Send {
        std::future::ready(Ok(()))
    }

    /// Does it. Everything that can refuse has spoken; a lost race answers with a conflict, upon
    /// which the road is travelled again from `resolve`.
    fn act(
        service: &Service,
        caller: &Caller,
        target: Usable<Self::Target>,
        input: &Self::Input,
    ) -> impl Future<Output = Result<Self::Output>> + Send;
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
        Self { name, forms: Forms::KeyOnly, need: Need::Nothing }
    }

    /// The same, on any form of key identifier.
    pub(crate) const fn with_aliases(self) -> Self {
        Self { forms: Forms::Any, ..self }
    }

    /// A cryptographic operation.
    pub(crate) const fn cryptographic(name: OperationName, need: Need) -> Self {
        Self { name, forms: Forms::Any, need }
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
}

/// Something a permission can be needed on.
pub(crate) enum Resource<'t> {
    /// A key.
    Key(&'t Arc<KeyEntry>),
    /// An alias, which is always of the caller's account.
    Alias,
}

/// What a request acts on.
pub(crate) trait Target: Send + Sync {
    /// The permissions needed, in the order they are asked for; at most three.
    fn demands(&self, facts: &Facts) -> [Option<Demand<'_>>; 3];

    /// A contradiction between what the request names and what it carries, told after
    /// authorization and before key state (step 8 of behaviour.md 5.6).
    fn contradiction(&self) -> Result<()> {
        Ok(())
    }
}

fn on_key<'t>(action: &'static str, key: &'t Arc<KeyEntry>) -> Option<Demand<'t>> {
    Some(Demand { action, resource: Some(Resource::Key(key)), used: true })
}

/// An operation on no key.
pub(crate) struct Nothing;

impl Target for Nothing {
    fn demands(&self, facts: &Facts) -> [Option<Demand<'_>>; 3] {
        [Some(Demand { action: facts.name.as_str(), resource: None, used: false }), None, None]
    }
}

/// One key, named by the request.
pub(crate) struct Key(pub(crate) Arc<KeyEntry>);

impl Target for Key {
    fn demands(&self, facts: &Facts) -> [Option<Demand<'_>>; 3] {
        [on_key(facts.name.as_str(), &self.0), None, None]
    }
}

/// A key that must be a multi-Region primary key.
pub(crate) struct Primary(pub(crate) Arc<KeyEntry>);

impl Target for Primary {
    fn demands(&self, facts: &Facts) -> [Option<Demand<'_>>; 3] {
        [on_key(facts.name.as_str(), &self.0), None, None]
    }

    /// Told before the key's state: recorded of a replica that was still being made.
    fn contradiction(&self) -> Result<()> {
        crate::multi_region::must_be_primary(&self.0)
    }
}

/// A key, or none where naming one is optional.
pub(crate) struct OptionalKey(pub(crate) Option<Arc<KeyEntry>>);

impl Target for OptionalKey {
    fn demands(&self, facts: &Facts) -> [Option<Demand<'_>>; 3] {
        match &self.0 {
            Some(key) => [on_key(facts.name.as_str(), key), None, None],
            None => Nothing.demands(facts),
        }
    }
}

/// A ciphertext and the key it is to be opened with: the one the request names, else the one the
/// ciphertext names.
pub(crate) struct Sealed {
    pub(crate) key: Arc<KeyEntry>,
    /// The header of the ciphertext. `None`: it is none of ours, or is not to be looked at.
    pub(crate) header: Option<BlobHeader>,
}

impl Sealed {
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
    fn demands(&self, facts: &Facts) -> [Option<Demand<'_>>; 3] {
        [on_key(facts.name.as_str(), &self.key), None, None]
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
    pub(crate) destination: Arc<KeyEntry>,
}

impl Target for ReSealed {
    fn demands(&self, _: &Facts) -> [Option<Demand<'_>>; 3] {
        [on_key("ReEncryptFrom", &self.source.key), on_key("ReEncryptTo", &self.destination), None]
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
    fn demands(&self, facts: &Facts) -> [Option<Demand<'_>>; 3] {
        let action = facts.name.as_str();
        let alias = Demand { action, resource: Some(Resource::Alias), used: false };
        let present = self.present.as_ref().and_then(|key| on_key(action, key));
        [
            Some(alias),
            present.map(|demand| Demand { used: false, ..demand }),
            self.target.as_ref().and_then(|key| on_key(action, key)),
        ]
    }
}
