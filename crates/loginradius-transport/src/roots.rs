//! Which root certificates are trusted.

use std::env;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use loginradius_proto::Error;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, TrustAnchor};

use crate::bundle::{self, Entry};

const FILE_VARIABLE: &str = "SSL_CERT_FILE";
const FOLDERS_VARIABLE: &str = "SSL_CERT_DIR";

/// The root certificates that a transport trusts.
///
/// `Debug` prints how many there are. A clone shares them.
#[derive(Clone)]
pub struct Roots {
    list: Arc<LazyLock<Arc<RootCertStore>, ReadList>>,
}

type ReadList = Box<dyn FnOnce() -> Arc<RootCertStore> + Send>;

impl Roots {
    /// Returns the root certificates of this machine, or Mozilla's if it has none. Mozilla's are part of this crate.
    ///
    /// The root certificates of this machine are
    ///
    /// 1. if the environment variable `SSL_CERT_FILE` or `SSL_CERT_DIR` is set: the certificates in that file and in
    ///    those folders, and no others;
    /// 2. otherwise those of the operating system: on Linux where curl and OpenSSL find them, on macOS the keychain's,
    ///    on Windows the certificate store's.
    ///
    /// Such lists are often long, so a certificate that cannot be read is left out. The list is read when the first
    /// server's certificate is verified: a program that connects to none over TLS never reads it. This call only finds
    /// out whether the variables name a certificate.
    ///
    /// ```
    /// # fn main() -> Result<(), loginradius_proto::Error> {
    /// use loginradius_transport::Roots;
    ///
    /// println!("{:?}", Roots::system()?); // Roots(142 certificates)
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](loginradius_proto::ErrorKind::Configuration) if `SSL_CERT_FILE` is set, and the
    /// file cannot be read or has no certificate; or if `SSL_CERT_DIR` alone is set, and no folder has one. The message
    /// names the variable, the path and the cause.
    #[doc(alias("native", "webpki-roots", "SSL_CERT_FILE", "SSL_CERT_DIR"))]
    pub fn system() -> Result<Self, Error> {
        let (file, folders) = (env::var_os(FILE_VARIABLE), env::var_os(FOLDERS_VARIABLE).unwrap_or_default());
        let folders: Vec<_> = env::split_paths(&folders).filter(|path| !path.as_os_str().is_empty()).collect();
        if file.is_none() && folders.is_empty() {
            return Ok(Self::later(|| of_machine(rustls_native_certs::load_native_certs().certs)));
        }
        match &file {
            Some(file) => check_file(Path::new(file))?,
            None if files(&folders).any(|file| check_file(&file).is_ok()) => {}
            None => {
                let folders = env::var_os(FOLDERS_VARIABLE).unwrap_or_default();
                return Err(unreadable(FOLDERS_VARIABLE, folders.display(), "as no certificate was found there"));
            }
        }
        Ok(Self::later(move || {
            let mut store = RootCertStore::empty();
            for file in file.map(PathBuf::from).into_iter().chain(files(&folders)) {
                if let Some(found) = fs::read(file).ok().and_then(|bytes| read(&bytes).ok()) {
                    store.roots.extend(found.store.roots);
                }
            }
            store
        }))
    }

    /// Reads root certificates, to trust them and no others: any number as PEM, or one as DER.
    ///
    /// Text around the PEM sections, other sections such as private keys, and a byte order mark are skipped. Any line
    /// ends are read. OpenSSL's `TRUSTED CERTIFICATE` is read, and left out if it is not trusted for servers.
    ///
    /// ```
    /// use loginradius_transport::Roots;
    ///
    /// let error = Roots::from_pem(b"-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "the root certificates cannot be read, as there is a private key and no certificate: pass the text \
    ///      of certificates, as PEM",
    /// );
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Configuration`](loginradius_proto::ErrorKind::Configuration) if there is no certificate, or if one
    /// of them is damaged. The message says what the file has instead, or which certificate is damaged and how.
    #[doc(alias("from_der", "ca bundle", "root_certificates"))]
    pub fn from_pem(bytes: &[u8]) -> Result<Self, Error> {
        let refuse = |cause: &str, advice: &str| {
            Error::configuration(format!("the root certificates cannot be read, as {cause}: {advice}"))
        };
        let found = read(bytes).map_err(|lack| refuse(lack, "pass the text of certificates, as PEM"))?;
        match found.damage {
            Some(damage) => Err(refuse(&damage, "replace or remove it")),
            None => Ok(Self::later(|| found.store)),
        }
    }

    fn later(read: impl FnOnce() -> RootCertStore + Send + 'static) -> Self {
        let read: ReadList = Box::new(|| Arc::new(without_duplicates(read())));
        Self { list: Arc::new(LazyLock::new(read)) }
    }

    /// Returns the list. The first call reads it.
    pub(crate) fn list(&self) -> &Arc<RootCertStore> {
        &self.list
    }
}

/// Returns the operating system's root certificates, or Mozilla's if it has none.
fn of_machine(operating_system: Vec<CertificateDer<'static>>) -> RootCertStore {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(operating_system);
    if store.is_empty() {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    store
}

/// Removes duplicates: systems often have a file with all certificates and a file for each.
fn without_duplicates(mut store: RootCertStore) -> RootCertStore {
    let order = |root: &TrustAnchor<'_>| (root.subject.to_vec(), root.subject_public_key_info.to_vec());
    store.roots.sort_by_cached_key(order);
    store.roots.dedup();
    store
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({} certificates)", self.list().len())
    }
}

/// The usable certificates of a file, and what is wrong with the first unusable one.
struct Found {
    store: RootCertStore,
    damage: Option<String>,
}

/// Reads all certificates of a file. Without any, the error says what the file has instead.
fn read(file: &[u8]) -> Result<Found, &'static str> {
    let entries = bundle::read(file)?;
    let count = entries.len();
    let mut found = Found { store: RootCertStore::empty(), damage: None };
    for (number, entry) in (1..).zip(entries) {
        let damage = match entry {
            Entry::Certificate(certificate) => {
                found.store.add(certificate).err().map(|_| "is damaged, or not a certificate")
            }
            Entry::Distrusted => None,
            Entry::Damaged(damage) => Some(damage),
        };
        if let (Some(damage), None) = (damage, &found.damage) {
            let which = if count == 1 { "the certificate" } else { &format!("certificate {number} of {count}") };
            found.damage = Some(format!("{which} {damage}"));
        }
    }
    if found.store.is_empty() && found.damage.is_none() {
        return Err("no certificate in it is trusted for servers");
    }
    Ok(found)
}

/// Refuses a file without a usable certificate, as `SSL_CERT_FILE` names one.
fn check_file(path: &Path) -> Result<(), Error> {
    let refuse = |cause: &str| unreadable(FILE_VARIABLE, path.display(), cause);
    let bytes = fs::read(path).map_err(|error| refuse(&error.to_string()))?;
    if bundle::has(&bytes, |certificate| RootCertStore::empty().add(certificate).is_ok()) {
        return Ok(());
    }
    let found = read(&bytes).map_err(|lack| refuse(&format!("as {lack}")))?;
    match found.damage {
        Some(damage) if found.store.is_empty() => Err(refuse(&format!("as {damage}"))),
        _ => Ok(()),
    }
}

/// Returns the files in these folders. A link counts as what it leads to.
fn files(folders: &[PathBuf]) -> impl Iterator<Item = PathBuf> {
    let entries = folders.iter().flat_map(fs::read_dir).flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file())
}

fn unreadable(variable: &str, path: impl fmt::Display, cause: &str) -> Error {
    Error::configuration(format!(
        "the root certificates of {variable} ({path}) cannot be read, {cause}: correct the variable, or unset it to \
         trust this machine's",
    ))
}

#[cfg(test)]
mod tests {
    use super::of_machine;

    #[test]
    fn the_bundled_roots_stand_in_for_a_system_that_has_none() {
        assert_eq!(of_machine(Vec::new()).len(), webpki_roots::TLS_SERVER_ROOTS.len());

        let own = rcgen::generate_simple_self_signed(["root.example".to_owned()]).unwrap().cert;
        assert_eq!(of_machine(vec![own.der().clone()]).len(), 1);
    }
}
