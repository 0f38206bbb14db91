//! CreateCustomKeyStore: would bind a CloudHSM cluster or an external key manager. Neither kind
//! of back end is built, so that every cluster is unknown and every proxy out of reach.

use keystead_model::{
    CreateCustomKeyStoreRequest, CreateCustomKeyStoreResponse, CustomKeyStoreType, OperationName,
    XksProxyConnectivityType,
};

use crate::caller::Caller;
use crate::error::{Error, Result};
use crate::operation::{Facts, Nothing, Operation, Writes};
use crate::proofs::Usable;
use crate::service::Service;
use crate::write::Change;

pub(super) struct CreateCustomKeyStore;

impl Operation for CreateCustomKeyStore {
    type Input = CreateCustomKeyStoreRequest;
    type Output = CreateCustomKeyStoreResponse;
    type Target = Nothing;

    const FACTS: Facts = Facts::management(OperationName::CreateCustomKeyStore);

    /// Each kind of store has members of its own.
    fn check(_: &Service, _: &Caller, input: &Self::Input) -> Result<()> {
        let cluster = [
            ("CloudHsmClusterId", input.cloud_hsm_cluster_id.is_some()),
            ("TrustAnchorCertificate", input.trust_anchor_certificate.is_some()),
            ("KeyStorePassword", input.key_store_password.is_some()),
        ];
        let proxy = [
            ("XksProxyUriEndpoint", input.xks_proxy_uri_endpoint.is_some()),
            ("XksProxyUriPath", input.xks_proxy_uri_path.is_some()),
            (
                "XksProxyAuthenticationCredential",
                input.xks_proxy_authentication_credential.is_some(),
            ),
            ("XksProxyConnectivity", input.xks_proxy_connectivity.is_some()),
        ];
        let endpoint_service = [
            ("XksProxyVpcEndpointServiceName", input.xks_proxy_vpc_endpoint_service_name.is_some()),
            (
                "XksProxyVpcEndpointServiceOwner",
                input.xks_proxy_vpc_endpoint_service_owner.is_some(),
            ),
        ];
        let kind = kind(input);
        let (wanted, unwanted) = match kind {
            CustomKeyStoreType::AwsCloudhsm => (&cluster[..], &proxy[..]),
            CustomKeyStoreType::ExternalKeyStore => (&proxy[..], &cluster[..]),
        };
        let by_service =
            input.xks_proxy_connectivity == Some(XksProxyConnectivityType::VpcEndpointService);
        let missing = wanted.iter().find(|(_, given)| !given);
        let missing =
            missing.or(endpoint_service.first().filter(|(_, given)| by_service && !given));
        if let Some((member, _)) = missing {
            return Err(Error::validation(format!(
                "{member} is required for a custom key store of type {kind}."
            )));
        }
        let odd = unwanted.iter().find(|(_, given)| *given);
        let odd = odd.or(endpoint_service.iter().find(|(_, given)| !by_service && *given));
        if let Some((member, _)) = odd {
            return Err(Error::validation(format!(
                "{member} is not valid for this custom key store of type {kind}."
            )));
        }
        Ok(())
    }

    async fn resolve(_: &Service, _: &Caller, _: &Self::Input) -> Result<Nothing> {
        Ok(Nothing)
    }
}

impl Writes for CreateCustomKeyStore {
    async fn act(
        service: &Service,
        caller: &Caller,
        _: Usable<Nothing>,
        input: &Self::Input,
    ) -> Result<Change<Self::Output>> {
        // None can exist, so that only a quota of none is used up.
        service.settings.quotas.one_more_key_store(0, caller.region())?;
        match kind(input) {
            CustomKeyStoreType::AwsCloudhsm => Err(Error::cloud_hsm_cluster_not_found()),
            CustomKeyStoreType::ExternalKeyStore => Err(Error::xks_proxy_unreachable()),
        }
    }
}

fn kind(input: &CreateCustomKeyStoreRequest) -> CustomKeyStoreType {
    input.custom_key_store_type.unwrap_or(CustomKeyStoreType::AwsCloudhsm)
}
