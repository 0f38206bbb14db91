//! Grants: their rules, their tokens, and how they are listed (behaviour.md 4.5). What a grant
//! allows is decided by authorization; here they are records.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystead_model::{
    AccountId, EncryptionContextMap, GrantConstraints, GrantListEntry, GrantOperation, KeyId,
    KeyUsageType, Region, Timestamp, key_arn, root_arn,
};
use keystead_policy::AwsPrincipal;
use keystead_store::{KeyRange, Revision};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::key_policy::is_absent;
use crate::paths;
use crate::records::{self, GrantRecord, KeyRecord};
use crate::service::Service;
use crate::write::Draft;

/// The most pairs of a constraint, and the most characters of each value.
const PAIRS: usize = 8;
const CHARACTERS: usize = 384;

/// How many grants are deleted in one commit; each has up to four records.
const AT_ONCE: usize = 30;

/// Where a grant is: its key and its id.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GrantPlace {
    pub(crate) account: AccountId,
    pub(crate) region: Region,
    pub(crate) key: KeyId,
    /// 64 lower-case hex digits.
    pub(crate) id: String,
}

/// A grant with its place, as the store has it.
pub(crate) struct Grant {
    pub(crate) place: GrantPlace,
    pub(crate) record: GrantRecord,
    pub(crate) revision: Revision,
}

impl GrantPlace {
    pub(crate) fn path(&self) -> paths::Path {
        paths::grant(self.account, &self.region, self.key, &self.id)
    }

    pub(crate) fn key_arn(&self) -> String {
        key_arn(&self.region, self.account, self.key)
    }

    /// The place of the grant at a path.
    pub(crate) fn of_path(path: &[u8]) -> Option<Self> {
        Self::parse(std::str::from_utf8(path.strip_prefix(paths::GRANTS)?).ok()?)
    }

    fn text(&self) -> String {
        format!("{}/{}/{}/{}", self.account, self.region, self.key, self.id)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let place = Self {
            account: parts.next()?.parse().ok()?,
            region: parts.next()?.parse().ok()?,
            key: parts.next()?.parse().ok()?,
            id: parts.next()?.to_owned(),
        };
        parts.next().is_none().then_some(place)
    }
}

/// Whether a text has the form of a grant id.
///
/// # Errors
/// InvalidGrantIdException.
pub(crate) fn check_id(id: &str) -> Result<()> {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if id.len() == 64 && id.bytes().all(hex) { Ok(()) } else { Err(Error::invalid_grant_id()) }
}

/// Refuses who can be neither grantee nor retiring principal: service principals, groups, ids,
/// wildcards. Whether a well-formed principal exists is not known here.
///
/// # Errors
/// InvalidArnException.
pub(crate) fn check_principal(arn: &str, caller: &Caller) -> Result<()> {
    let partition = caller.region().partition();
    let ours = arn.split(':').nth(1) == Some(partition.as_str()) && arn.starts_with("arn:");
    match AwsPrincipal::parse(arn) {
        AwsPrincipal::Arn { .. } | AwsPrincipal::Account { .. } if ours => Ok(()),
        _ => Err(Error::invalid_principal()),
    }
}

/// Checks a principal that a new grant is to name, and that it exists as far as that is known.
///
/// # Errors
/// InvalidArnException.
pub(crate) fn check_new_principal(service: &Service, arn: &str, caller: &Caller) -> Result<()> {
    check_principal(arn, caller)?;
    match service.gate.directory() {
        Some(directory) if is_absent(&directory, &AwsPrincipal::parse(arn)) => {
            Err(Error::invalid_principal())
        }
        _ => Ok(()),
    }
}

/// The operations of a grant in the model's order, each once, if each makes sense for the key.
///
/// # Errors
/// ValidationException; the texts are ours.
pub(crate) fn operations(given: &[GrantOperation], key: &KeyRecord) -> Result<Vec<GrantOperation>> {
    if given.is_empty() {
        return Err(Error::validation("A grant must have at least one operation."));
    }
    // [obs 2019]
    if given.iter().all(|operation| *operation == GrantOperation::CreateGrant) {
        return Err(Error::validation("Grants must not contain only the CreateGrant operation."));
    }
    if let Some(odd) = given.iter().find(|operation| !makes_sense(**operation, key)) {
        return Err(Error::validation(format!(
            "Operation {odd} is not valid for a grant on a key with KeySpec {} and KeyUsage {}.",
            key.spec, key.usage
        )));
    }
    Ok(GrantOperation::ALL.iter().copied().filter(|one| given.contains(one)).collect())
}

fn makes_sense(operation: GrantOperation, key: &KeyRecord) -> bool {
    use GrantOperation::*;
    let symmetric = key.is_symmetric();
    match operation {
        CreateGrant | RetireGrant | DescribeKey => true,
        Decrypt | Encrypt | ReEncryptFrom | ReEncryptTo => {
            key.usage == KeyUsageType::EncryptDecrypt
        }
        GenerateDataKey
        | GenerateDataKeyWithoutPlaintext
        | GenerateDataKeyPair
        | GenerateDataKeyPairWithoutPlaintext => symmetric,
        Sign | Verify => key.usage == KeyUsageType::SignVerify,
        GenerateMac | VerifyMac => key.usage == KeyUsageType::GenerateVerifyMac,
        DeriveSharedSecret => key.usage == KeyUsageType::KeyAgreement,
        GetPublicKey => !symmetric && key.usage != KeyUsageType::GenerateVerifyMac,
    }
}

/// The constraints of a grant as they are kept: equals, subset.
pub(crate) type Constraints = (Option<BTreeMap<String, String>>, Option<BTreeMap<String, String>>);

/// Checks and takes the constraints of a request.
///
/// # Errors
/// ValidationException; the texts are ours.
pub(crate) fn constraints(
    given: Option<&GrantConstraints>,
    key: &KeyRecord,
) -> Result<Constraints> {
    let Some(given) = given else { return Ok((None, None)) };
    let equals = given.encryption_context_equals.as_ref().map(pairs).transpose()?;
    let subset = given.encryption_context_subset.as_ref().map(pairs).transpose()?;
    if (equals.is_some() || subset.is_some()) && !key.is_symmetric() {
        return Err(Error::validation(
            "Grant constraints are valid only for symmetric encryption keys.",
        ));
    }
    Ok((equals, subset))
}

fn pairs(given: &EncryptionContextMap) -> Result<BTreeMap<String, String>> {
    let too_long = |text: &str| text.chars().count() > CHARACTERS;
    if given.len() > PAIRS
        || given.iter().any(|(key, value)| key.is_empty() || too_long(key) || too_long(value))
    {
        return Err(Error::validation(format!(
            "A grant constraint holds at most {PAIRS} pairs of at most {CHARACTERS} characters."
        )));
    }
    Ok(given.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

/// What makes two grants of one name the same grant.
pub(crate) fn fingerprint(service: &Service, record: &GrantRecord) -> Result<String> {
    let same = GrantRecord { created: 0, ..record.clone() };
    let json = serde_json::to_vec(&same).map_err(Error::internal)?;
    Ok(hex::encode(service.keyring.record_key().tag(b"grant-name", &json)))
}

/// A grant as the lists show it.
pub(crate) fn entry(grant: &Grant) -> GrantListEntry {
    let record = &grant.record;
    let map = |pairs: &Option<BTreeMap<String, String>>| {
        pairs
            .as_ref()
            .map(|pairs| pairs.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
    };
    let constrained = record.equals.is_some() || record.subset.is_some();
    GrantListEntry {
        key_id: Some(grant.place.key_arn()),
        grant_id: Some(grant.place.id.clone()),
        name: Some(record.name.clone().unwrap_or_default()),
        creation_date: Some(Timestamp::from_millis(record.created)),
        grantee_principal: Some(record.grantee.clone()),
        retiring_principal: record.retiring.clone(),
        issuing_account: Some(root_arn(grant.place.region.partition(), record.issuer)),
        operations: Some(record.operations.clone()),
        constraints: constrained.then(|| GrantConstraints {
            encryption_context_equals: map(&record.equals),
            encryption_context_subset: map(&record.subset),
        }),
    }
}

impl Service {
    /// A new token of a grant; no two are alike.
    pub(crate) fn grant_token(&self, place: &GrantPlace) -> Result<String> {
        let sealed = self.keyring.domain().seal_grant_token(&[], place.text().as_bytes())?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// The grant that a token is of, if both are genuine and the grant still exists.
    ///
    /// # Errors
    /// InvalidGrantTokenException, KMSInternalException.
    pub(crate) async fn grant_of_token(&self, token: &str) -> Result<Grant> {
        let unusable = Error::invalid_grant_token;
        let sealed = URL_SAFE_NO_PAD.decode(token).map_err(|_| unusable())?;
        let content =
            self.keyring.domain().open_grant_token(&[], &sealed).map_err(|_| unusable())?;
        let text = std::str::from_utf8(&content).map_err(|_| unusable())?;
        let place = GrantPlace::parse(text).ok_or_else(unusable)?;
        self.grant(place).await?.ok_or_else(unusable)
    }

    /// The grant at a place; none once its key's waiting period is over, swept or not.
    ///
    /// # Errors
    /// KMSInternalException.
    pub(crate) async fn grant(&self, place: GrantPlace) -> Result<Option<Grant>> {
        let key = self.keys.find(&self.keyring, place.key, &place.region).await?;
        if key.is_none_or(|key| key.is_gone(self.clock.now())) {
            return Ok(None);
        }
        let path = place.path();
        let Some(found) = self.store.read(&path).await? else { return Ok(None) };
        let record = records::decode(self.keyring.record_key(), &path, &found.value)
            .map_err(Error::internal)?;
        Ok(Some(Grant { place, record, revision: found.revision }))
    }

    /// Removes a grant with its index entries, and takes it off its key's count; the commit fails if
    /// grant or key changed meanwhile.
    ///
    /// # Errors
    /// KMSInternalException.
    pub(crate) async fn without_grant(&self, grant: &Grant) -> Result<Draft> {
        let GrantPlace { account, region, key, .. } = &grant.place;
        let key = self.keys.fresh(&self.keyring, *account, region, *key).await?;
        let key = key.ok_or_else(|| Error::internal("a grant without its key"))?;
        let mut record = key.record.clone();
        record.grants = record.grants.saturating_sub(1);
        let mut draft = Draft::default();
        draft.unchanged(grant.place.path(), grant.revision);
        self.forget_grant(&mut draft, grant)?;
        draft.replace(self, &key, &record)?;
        Ok(draft)
    }

    fn forget_grant(&self, draft: &mut Draft, grant: &Grant) -> Result<()> {
        let GrantPlace { account, region, key, id } = &grant.place;
        draft.delete(grant.place.path());
        draft.delete(paths::grantee(*account, region, *key, &grant.record.grantee, id));
        if let Some(retiring) = &grant.record.retiring {
            draft.delete(paths::retirable(region, retiring, *account, *key, id));
        }
        if grant.record.name.is_some() {
            let fingerprint = fingerprint(self, &grant.record)?;
            draft.delete(paths::grant_name(*account, region, *key, &fingerprint));
        }
        Ok(())
    }

    /// Removes all grants of a key that is being destroyed.
    ///
    /// # Errors
    /// KMSInternalException; run again, it goes on.
    pub(crate) async fn delete_grants(
        &self,
        account: AccountId,
        region: &Region,
        key: KeyId,
    ) -> Result<()> {
        let prefix = paths::grants(account, region, key);
        loop {
            let page = self.store.scan(KeyRange::prefix(prefix.clone()), AT_ONCE).await?;
            if page.is_empty() {
                return Ok(());
            }
            let mut draft = Draft::default();
            for (path, found) in page {
                let id = paths::tail(&path, &prefix).unwrap_or_default().to_owned();
                let record = records::decode(self.keyring.record_key(), &path, &found.value)
                    .map_err(Error::internal)?;
                let place = GrantPlace { account, region: region.clone(), key, id };
                self.forget_grant(&mut draft, &Grant { place, record, revision: found.revision })?;
            }
            draft.commit(self).await?;
        }
    }
}
