//! The keys of an installation, found, made, lost and replaced.

use super::fingerprints::FINGERPRINT_FILE;
use super::identity::IDENTITY_FILE;
use super::*;

fn stored() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    Keyring::load_or_create(directory.path()).unwrap();
    std::fs::write(directory.path().join(store::FILE), b"rows").unwrap();
    directory
}

#[test]
fn what_is_sealed_opens_again_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let keyring = Keyring::load_or_create(directory.path()).unwrap();
    assert!(matches!(keyring.key().unwrap_err(), SealError::NoDataKey));
    let (key, stored) = keyring.make_key(1).unwrap();
    keyring.install(key);
    let sealed = keyring.key().unwrap().seal(b"place", b"hunter2").unwrap();
    assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
    let again = Keyring::load_or_create(directory.path()).unwrap();
    again.install(again.open_key(1, &stored).unwrap());
    assert_eq!(again.key_of(1).unwrap().unseal(b"place", &sealed).unwrap(), b"hunter2");
    assert!(matches!(again.key_of(2).unwrap_err(), SealError::DataKeyUnknown(2)));
}

#[test]
fn a_store_without_its_keys_is_refused_instead_of_given_new_ones() {
    let directory = stored();
    let path = directory.path().join(FINGERPRINT_FILE);
    std::fs::remove_file(&path).unwrap();
    let error = Keyring::load_or_create(directory.path()).unwrap_err();
    assert!(matches!(error, SealError::KeyMissing(_)), "{error}");
    assert!(!path.exists());
    let path = directory.path().join(IDENTITY_FILE);
    std::fs::remove_file(&path).unwrap();
    let error = Keyring::load_or_create(directory.path()).unwrap_err();
    assert!(matches!(error, SealError::IdentityMissing(_)), "{error}");
    assert!(error.to_string().contains("--identity-file"), "{error}");
    assert!(!path.exists());
}

#[test]
fn another_identity_is_told_by_its_public_half() {
    let directory = stored();
    let right = Keyring::load_or_create(directory.path()).unwrap();
    let (_, key) = right.make_key(1).unwrap();
    let other = stored();
    let wrong = Keyring::load_or_create(other.path()).unwrap();
    let error = wrong.open_key(1, &key).unwrap_err().to_string();
    assert!(error.contains(&right.recipient()) && error.contains(&wrong.recipient()), "{error}");
    assert!(!error.contains("AGE-SECRET"), "{error}");
    let error = right.open_key(1, &key[..90]).unwrap_err();
    assert!(matches!(error, SealError::DataKeyDamaged(1)), "{error}");
}

#[test]
fn a_new_identity_is_on_the_disk_with_the_former_one_until_that_is_forgotten() {
    let directory = stored();
    let keyring = Keyring::load_or_create(directory.path()).unwrap();
    let first = keyring.recipient();
    let (_, key) = keyring.make_key(1).unwrap();
    assert!(!keyring.has_former());
    keyring.renew().unwrap();
    let second = keyring.recipient();
    assert_ne!(first, second);
    let info = IdentityInfo::read(directory.path(), &IdentitySource::default()).unwrap();
    assert_eq!((&info.recipient, &info.former), (&second, &vec![first.clone()]));
    // As after a crash.
    let again = Keyring::load_or_create(directory.path()).unwrap();
    assert!(again.has_former());
    assert_eq!(again.open_key(1, &key).unwrap().recipient(), first);
    assert_eq!(again.recipient(), second);
    again.forget_former().unwrap();
    assert!(!again.has_former());
    let last = Keyring::load_or_create(directory.path()).unwrap();
    assert_eq!(last.recipient(), second);
    assert!(matches!(last.open_key(1, &key).unwrap_err(), SealError::WrongIdentity { .. }));
}

#[test]
fn an_identity_that_was_put_first_by_hand_is_the_new_one() {
    let directory = stored();
    let keyring = Keyring::load_or_create(directory.path()).unwrap();
    let (first, (_, key)) = (keyring.recipient(), keyring.make_key(1).unwrap());
    let new = x25519::Identity::generate();
    // Without the former one, which is put back.
    IdentityFile::of(directory.path(), &IdentitySource::default())
        .write(std::slice::from_ref(&new))
        .unwrap();
    keyring.renew().unwrap();
    assert_eq!(keyring.recipient(), recipient(&new));
    let info = IdentityInfo::read(directory.path(), &IdentitySource::default()).unwrap();
    assert_eq!((info.recipient, info.former), (recipient(&new), vec![first]));
    keyring.open_key(1, &key).unwrap();
}

#[test]
fn the_identity_may_lie_elsewhere_and_a_credential_is_never_written() {
    let (directory, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = elsewhere.path().join("hades.identity");
    let source = IdentitySource { place: IdentityPlace::File(path.clone()), passphrase_file: None };
    let keyring = Keyring::open(directory.path(), &source).unwrap();
    assert!(path.exists() && !directory.path().join(IDENTITY_FILE).exists());
    let before = keyring.recipient();
    keyring.renew().unwrap();
    assert_ne!(keyring.recipient(), before);
    let content = std::fs::read(&path).unwrap();
    let source =
        IdentitySource { place: IdentityPlace::Credential(path.clone()), passphrase_file: None };
    let keyring = Keyring::open(directory.path(), &source).unwrap();
    assert!(!keyring.has_former(), "there is nothing to be removed");
    let error = keyring.renew().unwrap_err();
    assert!(matches!(error, SealError::NotOurs(_)), "{error}");
    keyring.forget_former().unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), content);
}

#[test]
fn a_passphrase_protects_an_identity_that_was_not() {
    let directory = stored();
    let before = Keyring::load_or_create(directory.path()).unwrap().recipient();
    let file = directory.path().join("passphrase");
    private_file::write(&file, b"correct horse battery\n").unwrap();
    let source = IdentitySource { passphrase_file: Some(file), ..IdentitySource::default() };
    let looked = Keyring::load(directory.path(), &source).unwrap();
    assert_eq!(looked.recipient(), before);
    let plain = std::fs::read(directory.path().join(IDENTITY_FILE)).unwrap();
    assert!(plain.starts_with(b"#"), "looking changes nothing");
    assert_eq!(Keyring::open(directory.path(), &source).unwrap().recipient(), before);
    let sealed = std::fs::read(directory.path().join(IDENTITY_FILE)).unwrap();
    assert!(!sealed.windows(14).any(|window| window == b"AGE-SECRET-KEY"));
    let keyring = Keyring::open(directory.path(), &source).unwrap();
    keyring.renew().unwrap();
    keyring.forget_former().unwrap();
    let info = IdentityInfo::read(directory.path(), &source).unwrap();
    assert_eq!((info.recipient, info.is_protected), (keyring.recipient(), true));
    let error = Keyring::load_or_create(directory.path()).unwrap_err();
    assert!(matches!(error, SealError::NoPassphrase(_)), "{error}");
}

#[test]
fn fingerprints_depend_on_key_place_and_value() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let one = Keyring::load_or_create(one.path()).unwrap();
    let two = Keyring::load_or_create(two.path()).unwrap();
    let base = one.fingerprint(&["shop", "db", "password"], b"x");
    assert_eq!(base, one.fingerprint(&["shop", "db", "password"], b"x"));
    assert_ne!(base, one.fingerprint(&["shop", "db", "password"], b"y"));
    assert_ne!(base, one.fingerprint(&["shop", "db2", "password"], b"x"));
    assert_ne!(base, two.fingerprint(&["shop", "db", "password"], b"x"));
}

#[test]
fn nobody_waits_for_the_file_of_the_identity_while_it_is_replaced() {
    let directory = stored();
    let keyring = Arc::new(Keyring::load_or_create(directory.path()).unwrap());
    let (path, before) = (directory.path().join(IDENTITY_FILE), keyring.recipient());
    let text = std::fs::read(&path).unwrap();
    // A file that is read only when somebody writes it.
    std::fs::remove_file(&path).unwrap();
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600));
    rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
    let renewing = std::thread::spawn({
        let keyring = Arc::clone(&keyring);
        move || keyring.renew()
    });
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn({
        let keyring = Arc::clone(&keyring);
        move || tell.send(keyring.recipient())
    });
    assert_eq!(told.recv_timeout(std::time::Duration::from_secs(20)).unwrap(), before);
    io::Write::write_all(&mut file, &text).unwrap();
    drop(file);
    renewing.join().unwrap().unwrap();
    assert_ne!(keyring.recipient(), before);
}
