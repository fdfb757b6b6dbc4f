use super::*;

const IDLE: Duration = Duration::from_secs(10);

fn store() -> HandleStore<u8> {
    HandleStore::new(HandleLimits { handles_max: 3, handles_per_session_max: 2, idle_max: IDLE })
}

fn user(name: &str) -> Arc<str> {
    name.into()
}

#[test]
fn belongs_to_one_user() {
    let store = store();
    let handle = store.insert(OwnerId(1), &user("ann"), Arc::new(7)).unwrap();
    assert_eq!(store.get("ann", &handle).as_deref(), Some(&7));
    assert_eq!(store.get("bob", &handle), None);
    assert_eq!(store.remove("bob", &handle), None);
    assert_eq!(store.get_bearer(&handle).as_deref(), Some(&7));
    assert_eq!(store.remove("ann", &handle).as_deref(), Some(&7));
    assert_eq!(store.get("ann", &handle), None);
}

#[test]
fn refuses_what_no_handle_is() {
    let store = store();
    store.insert(OwnerId(1), &user("ann"), Arc::new(7)).unwrap();
    for bytes in [&b""[..], b"x", &[0; 31], &[0; 32], &[0; 33]] {
        assert_eq!(store.get("ann", bytes), None);
    }
}

#[test]
fn is_bounded() {
    let store = store();
    let ann = user("ann");
    for _ in 0..2 {
        store.insert(OwnerId(1), &ann, Arc::new(0)).unwrap();
    }
    let full = store.insert(OwnerId(1), &ann, Arc::new(0));
    assert_eq!(full, Err(HandleError::SessionFull { limit: 2 }));
    store.insert(OwnerId(2), &ann, Arc::new(0)).unwrap();
    let full = store.insert(OwnerId(3), &ann, Arc::new(0));
    assert_eq!(full, Err(HandleError::Full { limit: 3 }));
    assert_eq!(store.remove_owner(OwnerId(1)).len(), 2);
    store.insert(OwnerId(3), &ann, Arc::new(0)).unwrap();
}

#[test]
fn forgets_what_is_idle() {
    let store = store();
    let start = Instant::now();
    let handle = store.insert(OwnerId(1), &user("ann"), Arc::new(7)).unwrap();
    assert!(store.get_at(None, &handle, start + IDLE).is_some());
    assert!(store.get_at(None, &handle, start + IDLE * 2).is_some());
    assert_eq!(store.sweep_at(start + IDLE * 2).len(), 0);
    assert!(store.get_at(None, &handle, start + IDLE * 4).is_none());
    store.insert(OwnerId(1), &user("ann"), Arc::new(8)).unwrap();
    assert_eq!(store.sweep_at(Instant::now() + IDLE * 2).len(), 1);
}
