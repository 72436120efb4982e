//! Declarations.

use super::{install, open, tenant, version};
use crate::{DatabaseConfig, RawJson};

pub(super) async fn put_keeps_what_is_there(config: DatabaseConfig) {
    let database = open(&config).await;
    let (first, second) = (version("a/p", "1.0.0"), version("a/p", "2.0.0"));
    let unverified = RawJson::new(r#"{"verified":false,"label":"工具厨房 \u003c"}"#).unwrap();
    let verified = RawJson::new(r#"{"verified":true}"#).unwrap();
    let declarations = &database.declarations;

    assert_eq!(declarations.get(&first).await.unwrap(), None);
    assert!(!declarations.replace(&first, &verified).await.unwrap());
    assert!(declarations.put_if_absent(&first, "a/p", &unverified).await.unwrap());
    assert!(!declarations.put_if_absent(&first, "a/p", &verified).await.unwrap());
    let row = declarations.get(&first).await.unwrap().unwrap();
    assert_eq!((row.plugin_id.as_str(), &row.declaration), ("a/p", &unverified));

    assert!(declarations.replace(&first, &verified).await.unwrap());
    assert_eq!(declarations.get(&first).await.unwrap().unwrap().declaration, verified);
    assert!(declarations.put_if_absent(&second, "a/p", &unverified).await.unwrap());
    let many = declarations.get_many(&[first.clone(), second.clone(), "none".to_owned()]).await.unwrap();
    assert_eq!(many.len(), 2);
    assert_eq!(declarations.get_many(&[]).await.unwrap(), []);

    assert!(declarations.delete(&first).await.unwrap());
    assert!(!declarations.delete(&first).await.unwrap());
    assert_eq!(declarations.get(&first).await.unwrap(), None);

    let mut work = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (declarations, first, verified) = (declarations.clone(), first.clone(), verified.clone());
        work.spawn(async move { declarations.put_if_absent(&first, "a/p", &verified).await.unwrap() });
    }
    assert_eq!(work.join_all().await.into_iter().filter(|stored| *stored).count(), 1, "one upload stored it");
}

pub(super) async fn remote_declarations(config: DatabaseConfig) {
    let database = open(&config).await;
    let identifier = version("a/p", "1.0.0");
    assert_eq!(database.declarations.remote(&identifier).await.unwrap(), None);
    install(&database, tenant(1), "a/p", &identifier).await;
    assert_eq!(database.declarations.remote(&identifier).await.unwrap(), None, "installed for good");
}
