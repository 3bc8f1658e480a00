//! Which tokens may be replaced by a copy, and whether a copy is one: in every property that a
//! vault has.

use std::collections::BTreeSet;

use super::{NewToken, TokenFacts, TokenKind};

/// Why a token is not replaced by a copy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It can do everything.
    #[error("it has the policy root: a root token is never copied")]
    Root,
    /// It has no accessor and cannot be revoked.
    #[error("it is a batch token, which cannot be revoked; only service tokens are rotated")]
    NotService,
    /// It belongs to somebody, and only they can get another by signing in.
    #[error(
        "it belongs to an entity of the vault's identity, and a copy would not: what it may do through the entity{} would be lost; its holder signs in to the vault again for a new one",
        through(.0)
    )]
    Identity(Vec<String>),
    /// It came from a login, which decides at each renewal.
    #[error(
        "it was given by a login at {0}, which a copy would know nothing of; its holder signs in to the vault again for a new one"
    )]
    ByLogin(String),
    /// It has no policies of its own.
    #[error("it has no policies of its own, so a copy could do nothing")]
    NoPolicies,
    /// It has policies that the deployment does not let Keyturn hand on.
    #[error("it has policies that may not be handed on here: {}", .0.join(", "))]
    NotAllowed(Vec<String>),
    /// It is good for a number of uses.
    #[error("it is good for a limited number of uses, which a copy would start anew")]
    LimitedUses,
}

fn through(policies: &[String]) -> String {
    if policies.is_empty() { String::new() } else { format!(" ({})", policies.join(", ")) }
}

/// Whether a token may be replaced by one with the same properties. `allowed` names policies; one
/// that ends with `*` stands for all that begin so. `root` is never allowed.
///
/// # Errors
/// The first reason why not.
pub fn may_be_copied(old: &TokenFacts, allowed: &[String]) -> Result<(), Refusal> {
    if old.policies.iter().any(|policy| policy.eq_ignore_ascii_case("root")) {
        return Err(Refusal::Root);
    }
    if old.kind != TokenKind::Service {
        return Err(Refusal::NotService);
    }
    if old.entity_id.is_some() || !old.identity_policies.is_empty() {
        return Err(Refusal::Identity(old.identity_policies.clone()));
    }
    if !old.path.is_empty() && !old.path.starts_with("auth/token/create") {
        return Err(Refusal::ByLogin(old.path.clone()));
    }
    if old.policies.is_empty() {
        return Err(Refusal::NoPolicies);
    }
    let within = |policy: &str| {
        allowed.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => policy.starts_with(beginning),
            None => policy == pattern,
        })
    };
    let beyond: BTreeSet<&String> = old.policies.iter().filter(|policy| !within(policy)).collect();
    if !beyond.is_empty() {
        return Err(Refusal::NotAllowed(beyond.into_iter().cloned().collect()));
    }
    if old.uses_left != 0 {
        return Err(Refusal::LimitedUses);
    }
    Ok(())
}

/// Seconds, or that there are none, in words.
pub(super) fn in_words(seconds: i64) -> String {
    if seconds == 0 { "none".to_owned() } else { format!("{seconds} s") }
}

fn list(texts: &[String]) -> String {
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

/// Whether a token, as it was looked up, is what was asked for; otherwise in what it differs.
/// `role_period` is the period that the role sets for its tokens, which a look-up does not show.
pub(super) fn as_asked(new: &NewToken, made: &TokenFacts, role_period: i64) -> Result<(), String> {
    let set = |texts: &[String]| texts.iter().cloned().collect::<BTreeSet<_>>();
    let differs = |what: &str, asked: String, has: String| {
        Err(format!("its {what} would be {has}, and the old one has {asked}"))
    };
    if made.kind != TokenKind::Service {
        return Err("it is not a service token".to_owned());
    }
    if !made.orphan {
        return Err("it is not an orphan".to_owned());
    }
    if set(&made.policies) != set(&new.policies) {
        return Err("it does not have the same policies".to_owned());
    }
    if let Some(entity) = &made.entity_id {
        return Err(format!("it belongs to the entity {entity}, and the old one to none"));
    }
    if !made.identity_policies.is_empty() {
        return Err("it has policies through an identity, and the old one has none".to_owned());
    }
    if made.namespace != new.namespace {
        let name = |namespace: &Option<String>| match namespace {
            Some(name) => name.clone(),
            None => "the vault's root".to_owned(),
        };
        return differs("namespace", name(&new.namespace), name(&made.namespace));
    }
    let period = if role_period > 0 { role_period } else { made.period_seconds };
    let asked =
        if role_period > 0 && new.role.is_some() { role_period } else { new.period_seconds };
    if period != asked {
        return differs("period", in_words(asked), in_words(period));
    }
    // A periodic token lives for its period. What it lives for otherwise, it was asked for.
    let lives = if period > 0 { period } else { new.ttl_seconds };
    if lives > 0 && made.ttl_seconds != lives {
        return differs("time to live", in_words(lives), in_words(made.ttl_seconds));
    }
    if made.explicit_max_ttl_seconds != new.explicit_max_ttl_seconds {
        let (asked, has) = (new.explicit_max_ttl_seconds, made.explicit_max_ttl_seconds);
        return differs("explicit maximum", in_words(asked), in_words(has));
    }
    if made.renewable != new.renewable {
        let word = |renewable| if renewable { "can" } else { "cannot" };
        return Err(format!(
            "it {} be renewed, and the old one {}",
            word(made.renewable),
            word(new.renewable)
        ));
    }
    if made.uses_left != 0 {
        return Err(format!(
            "it is good for {} uses, and the old one for any number",
            made.uses_left
        ));
    }
    if set(&made.bound_cidrs) != set(&new.bound_cidrs) {
        return differs("bound networks", list(&new.bound_cidrs), list(&made.bound_cidrs));
    }
    if made.metadata != new.metadata {
        return Err("it does not have the same metadata".to_owned());
    }
    if NewToken::copy_of(made, "").display_name != new.display_name {
        return Err("it does not have the same name".to_owned());
    }
    if made.rotation_id.as_deref() != Some(&new.rotation_id) {
        return Err("it does not say which rotation made it".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(policies: &[&str]) -> TokenFacts {
        TokenFacts {
            accessor: "a".into(),
            policies: policies.iter().map(|&p| p.into()).collect(),
            period_seconds: 3600,
            ttl_seconds: 3600,
            explicit_max_ttl_seconds: 0,
            kind: TokenKind::Service,
            orphan: true,
            expires_at: None,
            seconds_left: None,
            renewable: true,
            display_name: "token-claims".into(),
            uses_left: 0,
            bound_cidrs: vec![],
            metadata: [("team".to_owned(), "claims".to_owned())].into(),
            rotation_id: None,
            entity_id: None,
            identity_policies: vec![],
            namespace: Some("harbor".into()),
            role: None,
            path: "auth/token/create-orphan".into(),
        }
    }

    /// Protects the vault from a copy that can do more than the deployment lets Keyturn hand on.
    #[test]
    fn what_may_not_be_handed_on_is_not_copied() {
        let allowed = ["default".to_owned(), "claims-*".to_owned()];
        let may = |facts: &TokenFacts| may_be_copied(facts, &allowed);
        assert_eq!(may(&facts(&["default", "claims-import"])), Ok(()));
        assert_eq!(may(&facts(&["claims-"])), Ok(()));
        for root in [&["root"][..], &["default", "root"], &["ROOT"]] {
            assert_eq!(may(&facts(root)), Err(Refusal::Root));
            assert_eq!(may_be_copied(&facts(root), &["*".to_owned()]), Err(Refusal::Root));
        }
        let refused = may(&facts(&["claims-import", "billing", "defaults", "admin"]));
        let beyond = ["admin", "billing", "defaults"].map(str::to_owned).to_vec();
        assert_eq!(refused, Err(Refusal::NotAllowed(beyond)));
        assert!(may_be_copied(&facts(&["default"]), &[]).is_err(), "nothing said, nothing allowed");
        assert_eq!(may(&facts(&[])), Err(Refusal::NoPolicies));
        for kind in [TokenKind::Batch, TokenKind::Other] {
            assert_eq!(may(&TokenFacts { kind, ..facts(&["default"]) }), Err(Refusal::NotService));
        }
        let limited = TokenFacts { uses_left: 3, ..facts(&["default"]) };
        assert_eq!(may(&limited), Err(Refusal::LimitedUses));
    }

    /// Protects whoever's token it is: what comes with a sign-in cannot be copied, and is named.
    #[test]
    fn what_belongs_to_a_person_is_not_copied() {
        let may = |facts: &TokenFacts| may_be_copied(facts, &["default".to_owned()]);
        let of_entity = TokenFacts { entity_id: Some("e-1".into()), ..facts(&["default"]) };
        assert_eq!(may(&of_entity), Err(Refusal::Identity(vec![])));
        let through = TokenFacts { identity_policies: vec!["team".into()], ..facts(&["default"]) };
        let refused = may(&through).unwrap_err();
        assert!(refused.to_string().contains("(team) would be lost"), "{refused}");
        let login = "auth/userpass/login/zed";
        let by_login = TokenFacts { path: login.into(), ..facts(&["default"]) };
        assert_eq!(may(&by_login), Err(Refusal::ByLogin(login.into())));
        for path in ["", "auth/token/create", "auth/token/create/keyturn"] {
            assert_eq!(may(&TokenFacts { path: path.into(), ..facts(&["default"]) }), Ok(()));
        }
    }

    /// Protects the customer from a new token that dies with its parent, or can do more or less.
    #[test]
    fn what_was_made_is_compared_with_what_was_asked_for() {
        let old = facts(&["default", "claims-import"]);
        let new = NewToken::copy_of(&old, "r1");
        assert_eq!(new.display_name, "claims", "the vault puts the prefix in front by itself");
        let good =
            TokenFacts { rotation_id: Some("r1".into()), ..facts(&["claims-import", "default"]) };
        assert_eq!(as_asked(&new, &good, 0), Ok(()));
        let more = ["claims-import", "default", "more"].map(str::to_owned).to_vec();
        let other = [("team".to_owned(), "billing".to_owned())];
        for (bad, says) in [
            (TokenFacts { orphan: false, ..good.clone() }, "not an orphan"),
            (TokenFacts { kind: TokenKind::Batch, ..good.clone() }, "not a service token"),
            (TokenFacts { policies: more, ..good.clone() }, "policies"),
            (TokenFacts { policies: vec!["default".into()], ..good.clone() }, "policies"),
            (TokenFacts { period_seconds: 0, ..good.clone() }, "period would be none"),
            (TokenFacts { ttl_seconds: 1800, ..good.clone() }, "time to live would be 1800 s"),
            (TokenFacts { explicit_max_ttl_seconds: 7200, ..good.clone() }, "explicit maximum"),
            (TokenFacts { renewable: false, ..good.clone() }, "cannot be renewed"),
            (TokenFacts { uses_left: 3, ..good.clone() }, "3 uses"),
            (TokenFacts { bound_cidrs: vec!["10.0.0.0/8".into()], ..good.clone() }, "10.0.0.0/8"),
            (TokenFacts { metadata: other.into(), ..good.clone() }, "metadata"),
            (TokenFacts { entity_id: Some("e-1".into()), ..good.clone() }, "entity e-1"),
            (TokenFacts { identity_policies: vec!["x".into()], ..good.clone() }, "identity"),
            (TokenFacts { namespace: None, ..good.clone() }, "namespace would be the vault's root"),
            (TokenFacts { display_name: "token".into(), ..good.clone() }, "name"),
            (TokenFacts { rotation_id: None, ..good.clone() }, "which rotation"),
        ] {
            let how = as_asked(&new, &bad, 0).unwrap_err();
            assert!(how.contains(says), "{how}");
        }
    }

    /// Protects a job from a token that dies at the vault's maximum: a period that only the role
    /// sets is one, although no look-up shows it.
    #[test]
    fn the_period_of_a_role_is_the_period_of_its_tokens() {
        let new = NewToken::copy_of(&facts(&["default"]), "r1");
        let by_role =
            TokenFacts { period_seconds: 0, rotation_id: Some("r1".into()), ..facts(&["default"]) };
        assert_eq!(as_asked(&new, &by_role, 3600), Ok(()));
        assert!(as_asked(&new, &by_role, 1800).unwrap_err().contains("period would be 1800 s"));
        let lesser_at_first = TokenFacts { period_seconds: 3600, ..by_role.clone() };
        assert!(as_asked(&new, &lesser_at_first, 7200).is_err(), "after the first renewal");
        let never = NewToken { period_seconds: 0, ..new.clone() };
        assert!(as_asked(&never, &by_role, 3600).unwrap_err().contains("the old one has none"));
        // Both of one role: what it says of the one it says of the other.
        let same_role = NewToken { role: Some("keyturn".into()), ..never };
        assert_eq!(as_asked(&same_role, &by_role, 3600), Ok(()));
    }

    #[test]
    fn a_token_without_a_name_gets_none() {
        let old = TokenFacts { display_name: "token".into(), ..facts(&["default"]) };
        assert_eq!(NewToken::copy_of(&old, "r1").display_name, "");
    }
}
