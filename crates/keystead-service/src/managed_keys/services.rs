//! The services that have AWS managed keys, one row each: alias, description, key policy.
//!
//! No page of AWS lists them. The policies are those that GetKeyPolicy returned for each key in
//! us-east-1 in 2024 and 2025, as collected in the public repository FogSecurity/aws-managed-kms-keys;
//! WorkMail's is the example in the developer guide. Members and order are kept, but for the two
//! conditions of a statement, which stand in one order here. AWS makes no such keys for services
//! that were new after 2021, so the list is closed.

use keystead_model::{AccountId, Region};

/// A service, by its AWS managed key.
#[derive(Debug)]
pub(crate) struct ManagingService {
    /// The alias after `alias/aws/`.
    pub(crate) name: &'static str,
    /// What the description says that the key protects.
    protects: &'static str,
    /// Whether ListAliases shows the alias in an account that has no such key.
    pub(super) predefined: bool,
    /// The policy's `Id`.
    id: &'static str,
    /// The policy's statements.
    statements: &'static [Statement],
}

/// A statement, by whom it is about.
#[derive(Debug)]
enum Statement {
    /// Whoever in the account may use a service, by way of it: `kms:ViaService`.
    Through {
        sid: &'static str,
        actions: &'static [&'static str],
        services: &'static [&'static str],
    },
    /// The same, whichever Region the service is asked in.
    ThroughAnywhere { sid: &'static str, actions: &'static [&'static str], service: &'static str },
    /// The account: its root, and those whom its IAM policies allow.
    Account { sid: &'static str, actions: &'static [&'static str] },
    /// Everybody in the account, whatever its IAM policies allow.
    Everybody { sid: &'static str, actions: &'static [&'static str] },
    /// The service itself.
    Service { sid: &'static str, principal: &'static str },
    /// One of its own kind, with `{account}` and `{region}` to be filled in. Nothing in it lets the
    /// account do anything directly.
    Other(&'static str),
}

use Statement::{Account, Everybody, Other, Service, Through, ThroughAnywhere};

macro_rules! through {
    ($service:literal) => {
        concat!(
            "Allow access through ",
            $service,
            " for all principals in the account that are authorized to use ",
            $service
        )
    };
}

const METADATA: &str = "Allow direct access to key metadata to the account";

const VIEW: &[&str] = &["Describe*", "Get*", "List*"];
const USE: &[&str] = &["Encrypt", "Decrypt", "ReEncrypt*", "GenerateDataKey*", "DescribeKey"];
#[rustfmt::skip]
const GRANT: &[&str] = &["Encrypt", "Decrypt", "ReEncrypt*", "GenerateDataKey*", "CreateGrant", "DescribeKey"];
#[rustfmt::skip]
const LIST: &[&str] = &["Encrypt", "Decrypt", "ReEncrypt*", "GenerateDataKey*", "CreateGrant", "ListGrants", "DescribeKey"];

/// The account looks.
const LOOKS: Statement = Account { sid: METADATA, actions: VIEW };
/// The account looks, and takes back what a service was granted.
const REVOKES: Statement =
    Account { sid: METADATA, actions: &["Describe*", "Get*", "List*", "RevokeGrant"] };

/// The row of the service with this name.
pub(super) fn find(name: &str) -> Option<&'static ManagingService> {
    let position = SERVICES.binary_search_by(|service| service.name.cmp(name)).ok()?;
    SERVICES.get(position)
}

impl ManagingService {
    /// The alias with its prefix.
    pub(crate) fn alias(&self) -> String {
        format!("{}{}", super::PREFIX, self.name)
    }

    /// The description of the key.
    pub(super) fn description(&self) -> String {
        format!("Default key that protects my {} when no other key is defined", self.protects)
    }

    /// The policy of the key in an account and Region.
    pub(super) fn policy(&self, account: AccountId, region: &Region) -> String {
        let statements: Vec<String> =
            self.statements.iter().map(|statement| statement.json(account, region)).collect();
        let (id, statements) = (self.id, statements.join(","));
        format!(r#"{{"Version":"2012-10-17","Id":"{id}","Statement":[{statements}]}}"#)
    }
}

impl Statement {
    fn json(&self, account: AccountId, region: &Region) -> String {
        let everybody = r#""AWS":"*""#;
        match self {
            Through { sid, actions, services } => {
                let via =
                    one_or_more(services.iter().map(|service| host(service, region.as_str())));
                let condition = format!(
                    r#","Condition":{{"StringEquals":{{"kms:CallerAccount":"{account}","kms:ViaService":{via}}}}}"#
                );
                allow(sid, everybody, actions, &condition)
            }
            ThroughAnywhere { sid, actions, service } => {
                let via = host(service, "*");
                let condition = format!(
                    r#","Condition":{{"StringEquals":{{"kms:CallerAccount":"{account}"}},"StringLike":{{"kms:ViaService":"{via}"}}}}"#
                );
                allow(sid, everybody, actions, &condition)
            }
            Account { sid, actions } => {
                let partition = region.partition();
                let root = format!(r#""AWS":"arn:{partition}:iam::{account}:root""#);
                allow(sid, &root, actions, "")
            }
            Everybody { sid, actions } => {
                let condition = format!(
                    r#","Condition":{{"StringEquals":{{"kms:CallerAccount":"{account}"}}}}"#
                );
                allow(sid, everybody, actions, &condition)
            }
            Service { sid, principal } => {
                allow(sid, &format!(r#""Service":"{principal}.amazonaws.com""#), VIEW, "")
            }
            Other(template) => {
                template.replace("{account}", account.as_str()).replace("{region}", region.as_str())
            }
        }
    }
}

fn allow(sid: &str, principal: &str, actions: &[&str], condition: &str) -> String {
    let actions = one_or_more(actions.iter().map(|action| format!("kms:{action}")));
    format!(
        r#"{{"Sid":"{sid}","Effect":"Allow","Principal":{{{principal}}},"Action":{actions},"Resource":"*"{condition}}}"#
    )
}

/// The value of `kms:ViaService` (authorization.md 6.1); in every partition the same form.
fn host(service: &str, region: &str) -> String {
    format!("{service}.{region}.amazonaws.com")
}

/// A list, but one alone stands without brackets.
fn one_or_more(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<String> = texts.map(|text| format!(r#""{text}""#)).collect();
    match texts.as_slice() {
        [one] => one.clone(),
        more => format!("[{}]", more.join(",")),
    }
}

/// Ascending by name. `predefined` are the eleven aliases that two recorded ListAliases responses
/// (2019, us-east-1 and eu-west-2) show without a key. `protects` is recorded from DescribeKey
/// where no comment is; `// ours` marks those for which no description was found, written in the
/// pattern of the others.
#[rustfmt::skip]
pub(super) static SERVICES: [ManagingService; 40] = [
    ManagingService { name: "acm", protects: "ACM private keys", predefined: false, id: "auto-acm-4", statements: &[
        Other(r#"{"Sid":"Allow creation of decryption grants","Effect":"Allow","Principal":{"AWS":"*"},"Action":"kms:CreateGrant","Resource":"*","Condition":{"StringEquals":{"kms:CallerAccount":"{account}","kms:ViaService":"acm.{region}.amazonaws.com"},"ForAllValues:StringEquals":{"kms:GrantOperations":"Decrypt"},"Bool":{"kms:GrantIsForAWSResource":"true"}}}"#),
        Other(r#"{"Sid":"Allow creation of encryption grant","Effect":"Allow","Principal":{"AWS":"*"},"Action":"kms:CreateGrant","Resource":"*","Condition":{"StringEquals":{"kms:CallerAccount":"{account}","kms:ViaService":"acm.{region}.amazonaws.com"},"ForAllValues:StringEquals":{"kms:GrantOperations":["Encrypt","ReEncryptFrom","ReEncryptTo"]},"Bool":{"kms:GrantIsForAWSResource":"true"}}}"#),
        Everybody { sid: "Allowed operations for the key owner", actions: &["DescribeKey", "ListGrants", "RevokeGrant", "GetKeyPolicy"] },
        Other(r#"{"Sid":"Deny re-encryption to any other key","Effect":"Deny","Principal":{"AWS":"*"},"Action":"kms:ReEncrypt*","Resource":"*","Condition":{"Bool":{"kms:ReEncryptOnSameKey":"false"}}}"#),
        Through { sid: "Allow decrypt", actions: &["Decrypt"], services: &["acm"] },
    ] },
    ManagingService { name: "appflow", protects: "AppFlow data" /* ours */, predefined: false, id: "auto-appflow-2", statements: &[
        Through { sid: through!("Amazon AppFlow"), actions: GRANT, services: &["appflow"] },
        REVOKES,
        Service { sid: "Allow AppFlow Service with service principal name appflow.amazonaws.com to describe the key directly", principal: "appflow" },
        Through { sid: through!("S3"), actions: &["Decrypt"], services: &["s3"] },
        Through { sid: through!("SecretManager"), actions: GRANT, services: &["secretsmanager"] },
    ] },
    ManagingService { name: "backup", protects: "Backup data", predefined: false, id: "auto-backup-1", statements: &[
        Through { sid: "Allow access through Backup for all principals in the account that are authorized to use Backup Storage", actions: &["CreateGrant", "Decrypt", "GenerateDataKey*"], services: &["backup"] },
        REVOKES,
    ] },
    ManagingService { name: "cloud9", protects: "Cloud9 data" /* ours */, predefined: false, id: "auto-cloud9-1", statements: &[
        Through { sid: through!("Cloud9"), actions: USE, services: &["cloud9"] },
        LOOKS,
    ] },
    ManagingService { name: "codeartifact", protects: "CodeArtifact data" /* ours */, predefined: false, id: "auto-codeartifact-1", statements: &[
        Through { sid: through!("Amazon CodeArtifact"), actions: GRANT, services: &["codeartifact"] },
        REVOKES,
        Service { sid: "Allow CodeArtifact Service with service principal name codeartifact.amazonaws.com to describe the key directly", principal: "codeartifact" },
    ] },
    ManagingService { name: "codecommit", protects: "CodeCommit repositories", predefined: false, id: "auto-codecommit-2", statements: &[
        Through { sid: through!("CodeCommit"), actions: USE, services: &["codecommit"] },
        LOOKS,
    ] },
    ManagingService { name: "connect", protects: "Connect data" /* ours */, predefined: false, id: "auto-connect-3", statements: &[
        Through { sid: through!("Connect"), actions: &["CreateGrant", "Describe*", "Get*", "List*"], services: &["connect"] },
        Service { sid: "Allow Connect to directly describe the key", principal: "connect" },
        REVOKES,
        Other(r#"{"Sid":"Restrict direct usage","Effect":"Deny","Principal":{"AWS":"*"},"Action":["kms:Encrypt","kms:GenerateDataKey*","kms:ReEncrypt*"],"Resource":"*","Condition":{"Null":{"kms:ViaService":"true"}}}"#),
        Other(r#"{"Sid":"Restrict usage to Connect data","Effect":"Deny","Principal":{"AWS":"*"},"Action":["kms:Encrypt","kms:GenerateDataKey*","kms:ReEncrypt*"],"Resource":"*","Condition":{"Null":{"kms:EncryptionContext:aws:connect:OrganizationId":"true"}}}"#),
        Through { sid: through!("S3"), actions: &["Decrypt"], services: &["s3"] },
        Through { sid: through!("KVS"), actions: &["Decrypt"], services: &["kinesisvideo"] },
    ] },
    ManagingService { name: "dax", protects: "DAX data" /* ours */, predefined: false, id: "auto-dax-1", statements: &[
        Through { sid: through!("DAX"), actions: LIST, services: &["dax"] },
        REVOKES,
    ] },
    ManagingService { name: "dms", protects: "DMS replication instance volumes", predefined: false, id: "auto-dms-1", statements: &[
        Through { sid: through!("DMS"), actions: LIST, services: &["dms"] },
        REVOKES,
    ] },
    ManagingService { name: "dynamodb", protects: "DynamoDB data", predefined: true, id: "auto-dynamodb-3", statements: &[
        ThroughAnywhere { sid: through!("Amazon DynamoDB"), actions: GRANT, service: "dynamodb" },
        REVOKES,
        Service { sid: "Allow DynamoDB to directly describe the key", principal: "dynamodb" },
    ] },
    ManagingService { name: "ebs", protects: "EBS volumes", predefined: true, id: "auto-ebs-2", statements: &[
        Through { sid: through!("EBS"), actions: GRANT, services: &["ec2"] },
        REVOKES,
    ] },
    ManagingService { name: "ecr", protects: "ECR data", predefined: false, id: "auto-ecr-1", statements: &[
        Through { sid: through!("Amazon ECR"), actions: &["Encrypt", "Decrypt", "ReEncrypt*", "GenerateDataKey*", "CreateGrant", "DescribeKey", "RetireGrant"], services: &["ecr"] },
        REVOKES,
    ] },
    ManagingService { name: "eks", protects: "EKS data" /* ours */, predefined: false, id: "auto-eks-1", statements: &[
        Through { sid: through!("Amazon EKS"), actions: GRANT, services: &["eks"] },
        REVOKES,
        Service { sid: "Allow the EKS Service to describe the key directly", principal: "eks" },
    ] },
    ManagingService { name: "elasticache", protects: "ElastiCache data" /* ours */, predefined: false, id: "auto-elasticache-1", statements: &[
        Through { sid: through!("ElastiCache Service"), actions: LIST, services: &["elasticache"] },
        REVOKES,
        Service { sid: "Allow ElastiCache service principals to describe the key directly", principal: "elasticache" },
    ] },
    ManagingService { name: "elasticfilesystem", protects: "EFS filesystems", predefined: true, id: "auto-elasticfilesystem-1", statements: &[
        Through { sid: "Allow access to EFS for all principals in the account that are authorized to use EFS", actions: GRANT, services: &["elasticfilesystem"] },
        REVOKES,
    ] },
    ManagingService { name: "es", protects: "Amazon OpenSearch Service (successor to Amazon Elasticsearch Service) data", predefined: true, id: "auto-es-2", statements: &[
        Through { sid: through!("OpenSearch Service"), actions: GRANT, services: &["es"] },
        REVOKES,
        Service { sid: "Allow OpenSearch service principals to describe the key directly", principal: "es" },
    ] },
    ManagingService { name: "fsx", protects: "FSx data" /* ours */, predefined: false, id: "auto-fsx-1", statements: &[
        Through { sid: through!("FSx"), actions: LIST, services: &["fsx"] },
        REVOKES,
    ] },
    ManagingService { name: "glue", protects: "Glue data", predefined: true, id: "auto-glue-1", statements: &[
        Through { sid: through!("Glue"), actions: GRANT, services: &["glue"] },
        REVOKES,
    ] },
    ManagingService { name: "imagebuilder", protects: "EC2 Image Builder data" /* ours */, predefined: false, id: "auto-imagebuilder-1", statements: &[
        Through { sid: through!("Amazon EC2 Image Builder"), actions: GRANT, services: &["imagebuilder"] },
        REVOKES,
        Service { sid: "Allow the EC2 Image Builder Service to describe the key directly", principal: "imagebuilder" },
    ] },
    ManagingService { name: "kafka", protects: "Kafka data", predefined: false, id: "auto-kafka-1", statements: &[
        Through { sid: through!("Kafka"), actions: LIST, services: &["kafka"] },
        REVOKES,
    ] },
    ManagingService { name: "kendra", protects: "Kendra data" /* ours */, predefined: false, id: "auto-kendra-1", statements: &[
        Through { sid: through!("Amazon Kendra"), actions: GRANT, services: &["kendra"] },
        REVOKES,
        Service { sid: "Allow Kendra Service to describe the key directly", principal: "kendra" },
    ] },
    ManagingService { name: "kinesis", protects: "Kinesis data" /* ours */, predefined: false, id: "auto-kinesis-1", statements: &[
        Through { sid: through!("Amazon Kinesis"), actions: USE, services: &["kinesis"] },
        LOOKS,
    ] },
    ManagingService { name: "kinesisvideo", protects: "kinesis video data", predefined: true, id: "auto-kinesisvideo-1", statements: &[
        Through { sid: through!("Kinesis Video Streams"), actions: GRANT, services: &["kinesisvideo"] },
        REVOKES,
    ] },
    ManagingService { name: "lambda", protects: "Lambda functions", predefined: false, id: "auto-awslambda", statements: &[
        Through { sid: through!("AWS Lambda"), actions: GRANT, services: &["lambda"] },
        REVOKES,
    ] },
    ManagingService { name: "lex", protects: "Lex data" /* ours */, predefined: false, id: "auto-lex-1", statements: &[
        Through { sid: through!("lex"), actions: GRANT, services: &["lex"] },
        REVOKES,
    ] },
    ManagingService { name: "lightsail", protects: "Lightsail signing keys", predefined: false, id: "auto-lightsail-1", statements: &[
        Through { sid: through!("Lightsail"), actions: USE, services: &["lightsail"] },
        LOOKS,
        Service { sid: "Allow Lightsail with service principal name lightsail.amazonaws.com to describe the key directly", principal: "lightsail" },
    ] },
    ManagingService { name: "mq", protects: "MQ data" /* ours */, predefined: false, id: "auto-mq-1", statements: &[
        Through { sid: "Allow access to Amazon MQ for all principals in the account that are authorized to use Amazon MQ", actions: &["CreateGrant", "Decrypt", "DescribeKey", "GenerateDataKey*", "Encrypt", "ReEncrypt*"], services: &["mq", "elasticfilesystem"] },
        REVOKES,
    ] },
    ManagingService { name: "rds", protects: "RDS database volumes", predefined: true, id: "auto-rds-2", statements: &[
        Through { sid: through!("RDS"), actions: LIST, services: &["rds"] },
        REVOKES,
    ] },
    ManagingService { name: "redshift", protects: "Redshift data" /* ours */, predefined: true, id: "auto-redshift-3", statements: &[
        Through { sid: through!("RedShift"), actions: GRANT, services: &["redshift"] },
        Through { sid: through!("RedShift-Serverless"), actions: GRANT, services: &["redshift-serverless"] },
        REVOKES,
    ] },
    ManagingService { name: "s3", protects: "S3 objects", predefined: true, id: "auto-s3-2", statements: &[
        Through { sid: through!("S3"), actions: USE, services: &["s3"] },
        LOOKS,
    ] },
    ManagingService { name: "secretsmanager", protects: "Secrets Manager data", predefined: false, id: "auto-secretsmanager-2", statements: &[
        Through { sid: through!("AWS Secrets Manager"), actions: &["Encrypt", "Decrypt", "ReEncrypt*", "CreateGrant", "DescribeKey"], services: &["secretsmanager"] },
        ThroughAnywhere { sid: through!("AWS Secrets Manager"), actions: &["GenerateDataKey*"], service: "secretsmanager" },
        REVOKES,
    ] },
    ManagingService { name: "ses", protects: "SES data" /* ours */, predefined: false, id: "auto-ses-2", statements: &[
        Other(r#"{"Sid":"Allow SES to encrypt messages belonging to this account","Effect":"Allow","Principal":{"Service":"ses.{region}.amazonaws.com"},"Action":["kms:Encrypt","kms:GenerateDataKey*"],"Resource":"*","Condition":{"StringEquals":{"kms:EncryptionContext:aws:ses:source-account":"{account}"},"Null":{"kms:EncryptionContext:aws:ses:message-id":"false","kms:EncryptionContext:aws:ses:rule-name":"false"}}}"#),
        Other(r#"{"Sid":"Allow SES to describe this key","Effect":"Allow","Principal":{"Service":"ses.{region}.amazonaws.com"},"Action":"kms:DescribeKey","Resource":"*"}"#),
        Account { sid: "Allow direct access to key metadata & decryption to the account", actions: &["Describe*", "Get*", "List*", "Decrypt", "ReEncryptFrom"] },
    ] },
    ManagingService { name: "sns", protects: "SNS data", predefined: false, id: "auto-sns-1", statements: &[
        Through { sid: through!("SNS"), actions: &["Decrypt", "GenerateDataKey*", "CreateGrant", "ListGrants", "DescribeKey"], services: &["sns"] },
        REVOKES,
    ] },
    ManagingService { name: "sqs", protects: "SQS messages", predefined: false, id: "auto-sqs-1", statements: &[
        Through { sid: "Allow access through Simple Queue Service (SQS) for all principals in the account that are authorized to use SQS", actions: GRANT, services: &["sqs"] },
        REVOKES,
    ] },
    ManagingService { name: "ssm", protects: "SSM parameters", predefined: true, id: "auto-ssm-1", statements: &[
        Through { sid: through!("SSM"), actions: USE, services: &["ssm"] },
        LOOKS,
    ] },
    ManagingService { name: "timestream", protects: "Timestream data" /* ours */, predefined: false, id: "auto-timestream-1", statements: &[
        Through { sid: through!("Amazon Timestream"), actions: GRANT, services: &["timestream"] },
        REVOKES,
        Service { sid: "Allow the Timestream Service to describe the key directly", principal: "timestream" },
    ] },
    ManagingService { name: "translate", protects: "Translate data" /* ours */, predefined: false, id: "auto-translate-1", statements: &[
        Through { sid: through!("Amazon Translate"), actions: GRANT, services: &["translate"] },
        REVOKES,
        Service { sid: "Allow Translate Service with service principal name translate.amazonaws.com to describe the key directly", principal: "translate" },
    ] },
    ManagingService { name: "workmail", protects: "WorkMail data" /* ours */, predefined: false, id: "auto-workmail-1", statements: &[
        Through { sid: through!("WorkMail"), actions: &["Decrypt", "CreateGrant", "ReEncrypt*", "DescribeKey", "Encrypt"], services: &["workmail"] },
        Account { sid: METADATA, actions: &["Describe*", "List*", "Get*", "RevokeGrant"] },
    ] },
    ManagingService { name: "workspaces", protects: "WorkSpaces data" /* ours */, predefined: false, id: "auto-workspaces-1", statements: &[
        Through { sid: through!("Workspaces"), actions: LIST, services: &["workspaces"] },
        Account { sid: METADATA, actions: &["Describe*", "RevokeGrant", "List*", "Get*"] },
    ] },
    ManagingService { name: "xray", protects: "X-Ray data", predefined: true, id: "auto-xray-1", statements: &[
        Through { sid: through!("X-Ray"), actions: GRANT, services: &["xray"] },
        REVOKES,
        Service { sid: "Allow X-Ray Service with service principal name xray.amazonaws.com to describe the key directly", principal: "xray" },
    ] },
];

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    use keystead_policy::{Policy, pretty};
    use serde_json::Value;

    fn policy(name: &str, region: &str) -> String {
        let account = "111122223333".parse().unwrap();
        find(name).unwrap().policy(account, &region.parse().unwrap())
    }

    #[test]
    fn the_table_is_ascending_and_each_policy_is_a_key_policy() {
        assert!(SERVICES.is_sorted_by(|one, next| one.name < next.name));
        for service in &SERVICES {
            let text = policy(service.name, "us-east-1");
            let parsed = Policy::parse(&text).unwrap();
            parsed.validate_as_key_policy().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(parsed.statements().len(), service.statements.len());
            assert!(!text.contains("{region}") && !text.contains("{account}"), "{text}");
            let json: Value = serde_json::from_str(&text).unwrap();
            assert!(json["Id"].as_str().unwrap().starts_with("auto-"));
            assert!(text.len() < 32_768);
        }
    }

    /// As GetKeyPolicy returned it for `aws/s3` in eu-west-2 and us-east-1.
    #[test]
    fn the_policy_of_s3_is_the_recorded_one() {
        let expected = r#"{
  "Version" : "2012-10-17",
  "Id" : "auto-s3-2",
  "Statement" : [ {
    "Sid" : "Allow access through S3 for all principals in the account that are authorized to use S3",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "*"
    },
    "Action" : [ "kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey" ],
    "Resource" : "*",
    "Condition" : {
      "StringEquals" : {
        "kms:CallerAccount" : "111122223333",
        "kms:ViaService" : "s3.eu-west-2.amazonaws.com"
      }
    }
  }, {
    "Sid" : "Allow direct access to key metadata to the account",
    "Effect" : "Allow",
    "Principal" : {
      "AWS" : "arn:aws:iam::111122223333:root"
    },
    "Action" : [ "kms:Describe*", "kms:Get*", "kms:List*" ],
    "Resource" : "*"
  } ]
}"#;
        assert_eq!(pretty(&policy("s3", "eu-west-2")).unwrap(), expected);
    }

    #[test]
    fn the_forms_of_a_condition() {
        let json = |name| serde_json::from_str::<Value>(&policy(name, "us-east-1")).unwrap();
        let first = |name| json(name)["Statement"][0].clone();
        let ebs = &first("ebs")["Condition"]["StringEquals"]["kms:ViaService"];
        assert_eq!(ebs, "ec2.us-east-1.amazonaws.com");
        let dynamodb = &first("dynamodb")["Condition"];
        assert_eq!(dynamodb["StringLike"]["kms:ViaService"], "dynamodb.*.amazonaws.com");
        assert_eq!(dynamodb["StringEquals"]["kms:CallerAccount"], "111122223333");
        let mq = &first("mq")["Condition"]["StringEquals"]["kms:ViaService"];
        assert_eq!(mq[1], "elasticfilesystem.us-east-1.amazonaws.com");
        assert_eq!(json("acm")["Statement"][4]["Action"], "kms:Decrypt");
        assert_eq!(
            json("ses")["Statement"][1]["Principal"]["Service"],
            "ses.us-east-1.amazonaws.com"
        );
        assert!(policy("s3", "cn-north-1").contains("arn:aws-cn:iam::111122223333:root"));
    }

    #[test]
    fn descriptions_follow_the_recorded_pattern() {
        let text = find("s3").unwrap().description();
        assert_eq!(text, "Default key that protects my S3 objects when no other key is defined");
    }
}
