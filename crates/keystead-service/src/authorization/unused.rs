//! The condition on how long a key has not been used.

use std::sync::Arc;

use serde_json::json;

use super::trials::{OWNER, World, admin, fate, for_admin, let_in, policy, user};

const DAY: i64 = 86_400_000;
/// More than a test takes: the clock goes on by itself.
const MARGIN: i64 = 3_600_000;

/// `kms:TrailingDaysWithoutKeyUsage` (AWS KMS condition keys): whole days since the last use, or
/// since the key was created; for DisableKey and ScheduleKeyDeletion alone.
#[tokio::test]
async fn keys_in_use_can_be_kept_from_deletion() {
    let world = World::new(Default::default()).await;
    let caller = Arc::new(user(OWNER, "caller"));
    let allow = let_in("Allow", &caller.arn, "kms:*");
    let mut deny = let_in("Deny", "*", "kms:*");
    deny["Condition"] = json!({"NumericLessThan": {"kms:TrailingDaysWithoutKeyUsage": "30"}});
    let key = world.key_under(&admin(), &policy(&[for_admin(), allow, deny])).await;
    let named = json!({"KeyId": key});
    let encrypt = json!({"KeyId": key, "Plaintext": "cGxhaW4="});
    let no = "AccessDeniedException";
    let ask = async |operation: &str, body| fate(&world.ask(&caller, operation, body).await);
    // Never used: since it was created.
    assert_eq!(ask("DisableKey", &named).await, no);
    world.clock.advance(30 * DAY - MARGIN);
    assert_eq!(ask("ScheduleKeyDeletion", &named).await, no);
    world.clock.advance(MARGIN);
    assert_eq!(ask("DisableKey", &named).await, "ok");
    // Other operations have no such key.
    assert_eq!(ask("EnableKey", &named).await, "ok");
    assert_eq!(ask("Encrypt", &encrypt).await, "ok");
    assert_eq!(ask("DisableKey", &named).await, no);
    world.service.sweep().await.unwrap();
    assert_eq!(ask("ScheduleKeyDeletion", &named).await, no);
    world.clock.advance(30 * DAY);
    assert_eq!(ask("ScheduleKeyDeletion", &named).await, "ok");
}
