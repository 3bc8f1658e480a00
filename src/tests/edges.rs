//! What proofs read again and again is kept only where the signed root confirms it.

use super::tamper::{change, opened};
use crate::audit::nodes::Edges;
use crate::audit::timeline::{Item, page};
use crate::auth::credential::hex;
use crate::proof::verdict::Verdict;
use crate::store::Engine;
use crate::store::audit::{self, Filter, Seek};
use crate::testing::{Bench, both_engines};

both_engines!(
    a_kept_edge_proves_what_the_rows_prove,
    what_the_signed_root_does_not_confirm_is_not_kept,
);

/// How the impersonations of the newest page stand.
async fn verdicts(bench: &Bench, edges: &Edges) -> Vec<Verdict> {
    let mut conn = bench.desk.store.read().await.unwrap();
    let (key, filter) = (&bench.desk.keys.log, Filter::default());
    let found = page(&mut conn, key, &filter, &Seek::Newest, 25, edges, bench.now()).await.unwrap();
    let verdict = |item: Item| match item {
        Item::Group(group) => Some(group.judged.verdict.verdict),
        Item::Row(_) => None,
    };
    found.items.into_iter().filter_map(verdict).collect()
}

async fn a_kept_edge_proves_what_the_rows_prove(bench: Bench) {
    opened(&bench).await;
    let edges = Edges::default();
    let cold = verdicts(&bench, &edges).await;
    assert!(cold.len() >= 2 && cold.iter().all(|v| *v == Verdict::Complete), "{cold:?}");
    assert_eq!(verdicts(&bench, &edges).await, cold);
    // A row that was changed does not lead to the root by what was kept, either.
    change(
        &bench,
        "UPDATE audit_entry SET body = replace(body, '\"success\"', '\"refused\"') \
         WHERE log_id = 'platform' AND impersonation_id IS NOT NULL",
    )
    .await;
    let found = verdicts(&bench, &edges).await;
    assert!(found.iter().all(|v| *v == Verdict::Tampered), "{found:?}");
    // The log has grown: what was kept of it as it was is of no use, and does no harm.
    super::tamper::fill(&bench, 1).await;
    assert_eq!(verdicts(&bench, &edges).await, found);
}

async fn what_the_signed_root_does_not_confirm_is_not_kept(bench: Bench) {
    opened(&bench).await;
    let edges = Edges::default();
    let mut conn = bench.desk.store.read().await.unwrap();
    let row = audit::range(&mut conn, "platform", 1, 1).await.unwrap().remove(0);
    drop(conn);
    let becomes = |hash: &[u8]| {
        let digits = hex(hash);
        let value = match bench.engine() {
            Engine::Sqlite => format!("X'{digits}'"),
            Engine::Postgres => format!("decode('{digits}', 'hex')"),
        };
        format!("UPDATE audit_entry SET leaf_hash = {value} WHERE log_id = 'platform' AND seq = 1")
    };
    change(&bench, &becomes(&[0; 32])).await;
    let broken = verdicts(&bench, &edges).await;
    assert!(broken.contains(&Verdict::Tampered), "{broken:?}");
    change(&bench, &becomes(&row.leaf_hash)).await;
    let whole = verdicts(&bench, &edges).await;
    assert!(whole.iter().all(|v| *v == Verdict::Complete), "{whole:?}");
}
