use super::super::archive::{Folder, Unpacker};
use super::super::digest::Digester;
use super::*;
use cartridge_agent_core::parameters::Parameters;
use std::path::PathBuf;

fn store() -> Store {
    Store::new(Settings::read(&Parameters::new(b"", b"MULTITENANT=true")))
}

fn id(text: &str) -> TenantId {
    TenantId::parse(text).unwrap()
}

fn location(name: &str) -> Location {
    Location::new(&format!("http://host/{name}"), None, None).ok().unwrap()
}

/// The content of an archive that was fetched.
fn fetched(content: &str) -> (Digest, Unpacked) {
    let mut digester = Digester::default();
    digester.take(content.as_bytes());
    let mut unpacker = Unpacker::new(Folder::new(&std::env::temp_dir(), store().settings.limits).unwrap());
    unpacker
        .take(&super::super::archive::tar_of(&[(b"file", b'0', content.as_bytes())]))
        .unwrap();
    (digester.finish(), unpacker.finish().unwrap())
}

#[track_caller]
fn job(store: &Store) -> Job {
    match store.next(Some(Instant::now())) {
        Some(Work::Attempt(job)) => job,
        Some(Work::LetGo(_)) => panic!("a version to let go of"),
        None => panic!("nothing to do"),
    }
}

fn is_idle(store: &Store) -> bool {
    store.next(Some(Instant::now())).is_none()
}

/// Makes what is wished for the current version; gives its folder.
#[track_caller]
fn put(store: &Store, tenant: &str, content: &str) -> PathBuf {
    assert!(store.wish(id(tenant), location(content)));
    let job = job(store);
    let (digest, unpacked) = fetched(content);
    assert!(matches!(store.take(&job, digest, unpacked), Taken::New(..)));
    store.current(id(tenant)).unwrap().folder().to_owned()
}

#[test]
fn a_version_stays_until_its_last_user_lets_go() {
    let store = store();
    let first = put(&store, "7", "one");
    let user = store.current(id("7")).unwrap();
    let second = put(&store, "7", "two");
    assert_ne!(first, second);
    assert_eq!(std::fs::read(user.folder().join("file")).unwrap(), b"one");
    assert_eq!(
        std::fs::read(store.current(id("7")).unwrap().folder().join("file")).unwrap(),
        b"two"
    );
    assert!(user.number() < store.current(id("7")).unwrap().number());
    drop(user);
    assert!(!first.exists() && second.exists());
    store.clear();
    assert!(!second.exists());
}

#[test]
fn the_newest_wish_wins_over_one_that_is_being_fetched() {
    let store = store();
    store.wish(id("7"), location("old"));
    let old = job(&store);
    assert!(old.is_wanted() && is_idle(&store));
    store.wish(id("7"), location("new"));
    assert!(!old.is_wanted());
    assert!(is_idle(&store), "two attempts for one tenant at a time");
    let (digest, unpacked) = fetched("old");
    let folder = unpacked.folder.clone();
    assert!(matches!(store.take(&old, digest, unpacked), Taken::Overtaken));
    assert!(!folder.exists() && store.current(id("7")).is_none());
    assert_eq!(job(&store).wish.location.url, "http://host/new");
}

#[test]
fn a_failure_leaves_the_version_in_use_and_is_tried_again_after_its_pause() {
    let store = store();
    let folder = put(&store, "7", "good");
    store.wish(id("7"), location("bad"));
    let bad = job(&store);
    let kept = store.fail(&bad, Some(Duration::from_millis(30))).unwrap().unwrap();
    assert_eq!(kept.folder(), folder);
    assert!(is_idle(&store), "it is not due yet");
    let Some(Work::Attempt(again)) = store.next(Some(Instant::now() + Duration::from_secs(10))) else {
        panic!("it is not tried again")
    };
    assert_eq!(again.wish.failed, 1);
    assert!(store.fail(&again, None).is_ok() && is_idle(&store));
    assert_eq!(std::fs::read(folder.join("file")).unwrap(), b"good");
    store.clear();
}

#[test]
fn the_same_archive_again_is_no_new_version() {
    let store = store();
    let folder = put(&store, "7", "same");
    store.wish(id("7"), location("same"));
    let job = job(&store);
    let (digest, unpacked) = fetched("same");
    let again = unpacked.folder.clone();
    assert!(matches!(store.take(&job, digest, unpacked), Taken::Unchanged));
    assert!(folder.exists() && !again.exists() && is_idle(&store));
    store.clear();
}

#[test]
fn what_a_tenant_had_goes_with_it() {
    let store = store();
    let folder = put(&store, "7", "seven");
    let other = put(&store, "8", "eight");
    store.name(id("7"), "seven.org");
    assert_eq!(store.of_domain("seven.org"), Some(id("7")));
    store.wish(id("7"), location("late"));
    let late = job(&store);
    assert!(store.remove(id("7")) && !store.remove(id("7")));
    assert!(store.current(id("7")).is_none() && store.of_domain("seven.org").is_none());
    // It comes again while the attempt for its former self is still at work.
    store.wish(id("7"), location("again"));
    assert!(!late.is_wanted());
    let (digest, unpacked) = fetched("late");
    assert!(matches!(store.take(&late, digest, unpacked), Taken::Overtaken));
    assert!(store.fail(&late, None).is_err());
    assert!(folder.exists(), "files are removed by the workers");
    let Some(Work::LetGo(old)) = store.next(Some(Instant::now())) else {
        panic!("nobody removes the files")
    };
    drop(old);
    assert!(!folder.exists() && other.exists());
    assert_eq!(job(&store).wish.location.url, "http://host/again");
    store.clear();
}

#[test]
fn tenants_and_domains_are_bounded() {
    let store = store();
    for number in 0..TENANTS {
        assert!(store.wish(id(&number.to_string()), location("x")));
    }
    assert!(!store.wish(id("100000"), location("x")));
    assert!(store.wish(id("3"), location("y")));
    for number in 0..DOMAINS + 10 {
        store.name(id(&number.to_string()), &format!("d{number}.org"));
    }
    assert_eq!(lock(&store.state).domains.len(), DOMAINS);
}

#[test]
fn a_domain_belongs_to_the_tenant_that_had_it_last() {
    let store = store();
    store.name(id("7"), "a.org");
    store.name(id("7"), "b.org");
    assert_eq!(
        (store.of_domain("a.org"), store.of_domain("b.org")),
        (None, Some(id("7")))
    );
    store.name(id("8"), "b.org");
    assert_eq!(store.of_domain("b.org"), Some(id("8")));
    assert_eq!(store.of_domain("B.org"), None);
}

#[test]
fn the_digest_of_the_payload_holds_for_its_url_whoever_names_it() {
    let (mine, other) = ("ab".repeat(32), "cd".repeat(32));
    let payload = format!("REPO_URL=http://me:pw@host/a.tar,REPO_DIGEST=sha256:{mine}");
    let store = Store::new(Settings::read(&Parameters::new(b"", payload.leak().as_bytes())));
    for (url, digest) in [
        ("http://host/a.tar", Some(&mine)),
        (&*format!("http://host/a.tar#sha256={other}"), Some(&mine)),
        ("http://host/b.tar", None),
        (&*format!("http://host/b.tar#sha256={other}"), Some(&other)),
    ] {
        let artifact = cartridge_agent_core::control::Artifact {
            url,
            user: None,
            password: None,
            tenant: None,
        };
        super::super::update(&store, &artifact).unwrap();
        let job = job(&store);
        assert_eq!(
            job.wish.location.digest,
            digest.and_then(|digest| Digest::parse(digest)),
            "{url}"
        );
        assert!(store.fail(&job, None).is_ok());
    }
}

#[test]
fn a_retry_is_made_by_whoever_waits_when_it_is_due() {
    let store: &'static Store = Box::leak(Box::new(store()));
    store.wish(id("7"), location("x"));
    let first = job(store);
    assert!(store.is_busy() && store.is_alone());
    let waiter = std::thread::spawn(|| store.next(Some(Instant::now() + Duration::from_secs(10))));
    while store.is_alone() {
        std::thread::yield_now();
    }
    assert!(store.fail(&first, Some(Duration::from_millis(20))).is_ok());
    let began = Instant::now();
    assert!(matches!(waiter.join().unwrap(), Some(Work::Attempt(_))));
    assert!(
        began.elapsed() < Duration::from_secs(9),
        "only its own limit ended the wait"
    );
}
