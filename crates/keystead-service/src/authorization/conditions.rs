//! Every condition key in a request, by `testdata/condition-keys.csv`.

use std::sync::Arc;

use serde_json::{Value, json};

use super::matrix::{DELEGATED, filled, prepare, table};
use super::trials::{OWNER, World, fate, may, parsed, user};
use crate::principal::Principal;

#[tokio::test(flavor = "multi_thread")]
async fn every_condition_key_holds_and_fails() {
    let world = World::new(Default::default()).await;
    let (mut total, mut wrong) = (0, Vec::new());
    let lines = include_str!("../../testdata/condition-keys.csv").lines();
    for line in lines.filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.splitn(7, ';').collect();
        let [key, action, operator, good, bad, before, members] = fields[..] else {
            panic!("{line}")
        };
        let mut rows = table();
        let needs = |needs: &[(&str, &str)]| needs.iter().any(|(needed, _)| *needed == action);
        // The operation of this name, else the one that needs the permission.
        let at = rows.iter().position(|row| row.operation == action);
        let at = at.or_else(|| rows.iter().position(|row| needs(&row.needs))).unwrap();
        let mut row = rows.swap_remove(at);
        if !before.is_empty() {
            row.before = before;
        }
        let members: Value = serde_json::from_str(members).unwrap();
        for (name, value) in members.as_object().unwrap() {
            // A date within the year that imported material may last.
            let soon = || json!(world.service.clock.now() / 1_000 + 86_400);
            row.request[name] = if value == "{soon}" { soon() } else { value.clone() };
        }
        for (value, wanted) in [(bad, "AccessDeniedException"), (good, row.permitted)] {
            let (things, _) = prepare(&world, &row, &DELEGATED, total).await;
            let value = filled(&json!(value), &things);
            let mut conditional = may("Allow", &format!("kms:{action}"));
            conditional["Condition"] = json!({operator: {key: value}});
            let others = json!({"Effect": "Allow", "NotAction": format!("kms:{action}"),
                                "Resource": "*"});
            let policies = vec![parsed(&[conditional, others])];
            let caller = Arc::new(Principal { policies, ..user(OWNER, "caller") });
            let body = filled(&row.request, &things);
            let result = world.ask(&caller, row.operation, &body).await;
            total += 1;
            if fate(&result) != wanted {
                wrong.push(format!("{line}\n  {value}: {result:?}, not {wanted}"));
            }
        }
    }
    println!("condition keys: {}/{total} as expected", total - wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(total > 130, "{total}");
}
