//! One CloudTrail record, event version 1.11.
//!
//! Sources: <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>
//! and the samples of the KMS developer guide.

mod date;
mod identity;
mod json;

use std::fmt;

pub(crate) use date::iso;
pub use identity::{IssuerKind, SessionContext, SessionIssuer, UserIdentity, WebIdentity};
pub use json::Object;

/// A record, ready to be written as one line of JSON.
///
/// [`Record::api_call`] and [`Record::service_event`] set what the kind of event fixes; everything
/// else is a field to be set. Fields that CloudTrail leaves out when they are empty are left out,
/// `requestParameters` and `responseElements` are always there.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// Who made the request.
    pub user_identity: UserIdentity<'a>,
    /// When the request was completed: milliseconds since 1970, written in whole seconds.
    pub event_time: i64,
    /// The service, by its DNS name.
    pub event_source: &'a str,
    /// Name of the operation or service event.
    pub event_name: &'a str,
    /// Region that was served.
    pub aws_region: &'a str,
    /// Address of the client, or a service's DNS name.
    pub source_ip_address: Option<&'a str>,
    /// The header as received; written up to 1 KB.
    pub user_agent: Option<&'a str>,
    /// What a failed request failed with.
    pub error: Option<Failure<'a>>,
    /// Parameters of the request, up to 100 KB.
    pub request_parameters: Option<&'a Object>,
    /// What a change answered, up to 100 KB; `None` for operations that only read.
    pub response_elements: Option<&'a Object>,
    /// Facts beside request and response, up to 28 KB.
    pub additional_event_data: Option<&'a Object>,
    /// The `x-amzn-RequestId` of the response; service events have none.
    pub request_id: Option<&'a str>,
    /// Identifier of this record.
    pub event_id: EventId,
    /// Whether the operation changes no stored state. Cryptographic operations change none.
    pub read_only: bool,
    /// The keys (and aliases) that were used; `None` leaves the element out.
    pub resources: Option<&'a [Resource<'a>]>,
    /// Request or service event.
    pub event_type: EventType,
    /// The account that this copy is for.
    pub recipient_account_id: Option<&'a str>,
    /// What both copies of a record for two accounts have in common.
    pub shared_event_id: Option<EventId>,
    /// Details of a service event.
    pub service_event_details: Option<&'a Object>,
    /// The VPC endpoint that the request came through.
    pub vpc_endpoint_id: Option<&'a str>,
    /// The account of that endpoint.
    pub vpc_endpoint_account_id: Option<&'a str>,
    /// The TLS connection; `None` for a connection without TLS.
    pub tls_details: Option<TlsDetails<'a>>,
    /// Whether the credentials came from a console session.
    pub session_credential_from_console: bool,
    /// Why a record is late or corrected.
    pub addendum: Option<Addendum<'a>>,
}

impl<'a> Record<'a> {
    /// A request. It has no parameters, no failure, no resources and reads only, until its fields
    /// say otherwise; the copy is for the caller's account.
    pub fn api_call(
        event_id: EventId,
        event_time: i64,
        event_name: &'a str,
        aws_region: &'a str,
        user_identity: UserIdentity<'a>,
    ) -> Self {
        Self {
            recipient_account_id: user_identity.account_id(),
            user_identity,
            event_time,
            event_source: KMS,
            event_name,
            aws_region,
            source_ip_address: None,
            user_agent: None,
            error: None,
            request_parameters: None,
            response_elements: None,
            additional_event_data: None,
            request_id: None,
            event_id,
            read_only: true,
            resources: None,
            event_type: EventType::ApiCall,
            shared_event_id: None,
            service_event_details: None,
            vpc_endpoint_id: None,
            vpc_endpoint_account_id: None,
            tls_details: None,
            session_credential_from_console: false,
            addendum: None,
        }
    }

    /// Something that the service did by itself to a key of `owner`: `RotateKey`, `DeleteKey`, ….
    pub fn service_event(
        event_id: EventId,
        event_time: i64,
        event_name: &'a str,
        aws_region: &'a str,
        owner: &'a str,
    ) -> Self {
        Self {
            source_ip_address: Some(INTERNAL),
            user_agent: Some(INTERNAL),
            read_only: false,
            event_type: EventType::ServiceEvent,
            ..Self::api_call(
                event_id,
                event_time,
                event_name,
                aws_region,
                UserIdentity::service_event(owner),
            )
        }
    }

    /// Makes the two copies of a request across accounts: the caller's and the key owner's. They
    /// share `shared`; the owner's has an event id of its own and neither the caller's ARN nor
    /// access key id.
    pub fn for_both_accounts(
        self,
        shared: EventId,
        owner_event_id: EventId,
        owner: &'a str,
    ) -> (Self, Self) {
        let caller = Self { shared_event_id: Some(shared), ..self };
        let mut copy = caller.clone();
        copy.user_identity = caller.user_identity.foreign();
        copy.event_id = owner_event_id;
        copy.recipient_account_id = Some(owner);
        (caller, copy)
    }

    /// The record as one line of JSON, without the newline.
    pub fn encode(&self) -> Vec<u8> {
        let mut line = Vec::with_capacity(2048);
        self.encode_into(&mut line);
        line
    }

    /// Appends what [`Record::encode`] answers.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        let mut members = Members::open(out);
        members.text("eventVersion", VERSION);
        members.nested("userIdentity", |out| self.user_identity.write(out));
        members.nested("eventTime", |out| {
            out.push(b'"');
            date::push_iso(out, self.event_time);
            out.push(b'"');
        });
        members.text("eventSource", self.event_source);
        members.text("eventName", self.event_name);
        members.text("awsRegion", self.aws_region);
        members.optional("sourceIPAddress", self.source_ip_address);
        members.optional_cut("userAgent", self.user_agent);
        if let Some(error) = &self.error {
            members.text("errorCode", error.code);
            members.optional_cut("errorMessage", error.message);
        }
        members.object_or_null("requestParameters", self.request_parameters);
        members.object_or_null("responseElements", self.response_elements);
        if let Some(data) = self.additional_event_data.filter(|data| !data.is_empty()) {
            members.nested("additionalEventData", |out| data.write(out));
        }
        members.optional("requestID", self.request_id);
        members.nested("eventID", |out| self.event_id.write(out));
        members.boolean("readOnly", self.read_only);
        if let Some(resources) = self.resources {
            members.nested("resources", |out| {
                out.push(b'[');
                for (at, resource) in resources.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    let mut members = Members::open(out);
                    members.text("accountId", resource.account_id);
                    members.text("type", "AWS::KMS::Key");
                    members.text("ARN", resource.arn);
                    members.close();
                }
                out.push(b']');
            });
        }
        members.text(
            "eventType",
            match self.event_type {
                EventType::ApiCall => "AwsApiCall",
                EventType::ServiceEvent => "AwsServiceEvent",
            },
        );
        members.boolean("managementEvent", true);
        members.optional("recipientAccountId", self.recipient_account_id);
        if let Some(shared) = &self.shared_event_id {
            members.nested("sharedEventID", |out| shared.write(out));
        }
        if let Some(details) = self.service_event_details {
            members.nested("serviceEventDetails", |out| details.write(out));
        }
        members.optional("vpcEndpointId", self.vpc_endpoint_id);
        members.optional("vpcEndpointAccountId", self.vpc_endpoint_account_id);
        members.text("eventCategory", "Management");
        if let Some(tls) = &self.tls_details {
            members.nested("tlsDetails", |out| {
                let mut members = Members::open(out);
                members.text("tlsVersion", tls.version);
                members.text("cipherSuite", tls.cipher_suite);
                members.optional_cut("clientProvidedHostHeader", tls.client_provided_host_header);
                members.optional("keyExchange", tls.key_exchange);
                members.close();
            });
        }
        if self.session_credential_from_console {
            // A text in CloudTrail's samples, unlike the other booleans.
            members.text("sessionCredentialFromConsole", "true");
        }
        if let Some(addendum) = &self.addendum {
            members.nested("addendum", |out| {
                let mut members = Members::open(out);
                members.text("reason", addendum.reason.name());
                members.optional("updatedFields", addendum.updated_fields);
                members.optional("originalRequestID", addendum.original_request_id);
                if let Some(original) = &addendum.original_event_id {
                    members.nested("originalEventID", |out| original.write(out));
                }
                members.close();
            });
        }
        members.close();
    }
}

/// What a failed request failed with.
#[derive(Copy, Clone, Debug)]
pub struct Failure<'a> {
    /// Name of the exception, without a prefix; `AccessDenied` for a refused authorization.
    pub code: &'a str,
    /// The text that was answered; written up to 1 KB.
    pub message: Option<&'a str>,
}

/// A key, or an alias, that a request used. CloudTrail types both as `AWS::KMS::Key`.
#[derive(Copy, Clone, Debug)]
pub struct Resource<'a> {
    /// The account that owns it.
    pub account_id: &'a str,
    /// Its ARN.
    pub arn: &'a str,
}

/// The TLS connection that a request came on.
#[derive(Copy, Clone, Debug)]
pub struct TlsDetails<'a> {
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'a str,
    /// IANA's name of the cipher suite.
    pub cipher_suite: &'a str,
    /// The host that the client asked for; written up to 1 KB.
    pub client_provided_host_header: Option<&'a str>,
    /// Name of the key exchange group.
    pub key_exchange: Option<&'a str>,
}

/// What an event is.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum EventType {
    /// `AwsApiCall`: a request.
    ApiCall,
    /// `AwsServiceEvent`: something that the service did by itself.
    ServiceEvent,
}

/// Why a record is late or corrected.
#[derive(Copy, Clone, Debug)]
pub struct Addendum<'a> {
    /// The reason.
    pub reason: AddendumReason,
    /// Names of the fields that were corrected, separated by commas.
    pub updated_fields: Option<&'a str>,
    /// The request id of the corrected record, if it was corrected.
    pub original_request_id: Option<&'a str>,
    /// The event id of the corrected record, if it was corrected.
    pub original_event_id: Option<EventId>,
}

/// The `reason` of an addendum.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum AddendumReason {
    /// `DELIVERY_DELAY`
    DeliveryDelay,
    /// `UPDATED_DATA`
    UpdatedData,
    /// `SERVICE_OUTAGE`
    ServiceOutage,
}

impl AddendumReason {
    fn name(self) -> &'static str {
        match self {
            Self::DeliveryDelay => "DELIVERY_DELAY",
            Self::UpdatedData => "UPDATED_DATA",
            Self::ServiceOutage => "SERVICE_OUTAGE",
        }
    }
}

/// The identifier of a record: a random UUID (RFC 9562, version 4).
#[derive(Copy, Clone, Debug, Eq, Hash, PartialEq)]
pub struct EventId([u8; 16]);

impl EventId {
    /// A fresh one.
    ///
    /// # Errors
    /// [`NoRandomness`] when the system has no random bytes.
    pub fn fresh() -> Result<Self, NoRandomness> {
        let mut bytes = [0; 16];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
        Ok(Self::from_random(bytes))
    }

    /// One made of random bytes that the caller has; the bits of version and variant are set.
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    fn text(self) -> [u8; 36] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                at += 1;
            }
            text[at] = DIGITS[usize::from(byte >> 4)];
            text[at + 1] = DIGITS[usize::from(byte & 15)];
            at += 2;
        }
        text
    }

    fn write(self, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(&self.text());
        out.push(b'"');
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().iter().try_for_each(|byte| write!(f, "{}", char::from(*byte)))
    }
}

/// The system has no random bytes.
#[derive(Copy, Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the system has no random bytes")]
pub struct NoRandomness;

/// The event id that a line written by [`Record::encode`] carries: the last member of that name. A
/// quote inside a text is escaped, so no text can look like a member; the parameters, whose members
/// callers choose, come before it.
pub(crate) fn event_id_of(line: &[u8]) -> Option<&[u8]> {
    const MEMBER: &[u8] = b"\"eventID\":\"";
    let start = line.windows(MEMBER.len()).rposition(|window| window == MEMBER)? + MEMBER.len();
    let id = line.get(start..start + 36)?;
    (line.get(start + 36) == Some(&b'"')).then_some(id)
}

const VERSION: &str = "1.11";
const KMS: &str = "kms.amazonaws.com";
/// What stands for address, agent and caller when the service acts by itself.
const INTERNAL: &str = "AWS Internal";
/// Bytes of `userAgent` and `errorMessage` (CloudTrail record contents).
const KILOBYTE: usize = 1024;
/// Bytes of JSON of any other text: more than the longest ARN, so that no field makes a line grow
/// without bound.
const TEXT: usize = 4096;

/// An object being written member by member.
struct Members<'b> {
    out: &'b mut Vec<u8>,
}

impl<'b> Members<'b> {
    fn open(out: &'b mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out }
    }

    fn name(&mut self, name: &str) {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        self.out.push(b'"');
        json::escape(self.out, name, TEXT);
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        self.out.push(b'"');
        json::escape(self.out, value, TEXT);
        self.out.push(b'"');
    }

    fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A text of which at most a kilobyte is written, before escaping.
    fn optional_cut(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            let cut = value.get(..value.floor_char_boundary(KILOBYTE)).unwrap_or_default();
            self.name(name);
            self.out.push(b'"');
            json::escape(self.out, cut, 6 * KILOBYTE);
            self.out.push(b'"');
        }
    }

    fn boolean(&mut self, name: &str, value: bool) {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    fn object_or_null(&mut self, name: &str, value: Option<&Object>) {
        self.nested(name, |out| match value {
            Some(object) => object.write(out),
            None => out.extend_from_slice(b"null"),
        });
    }

    fn nested(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        self.name(name);
        write(self.out);
    }

    fn close(self) {
        self.out.push(b'}');
    }
}

#[cfg(test)]
mod tests;
