//! TLS between a connection's bytes and its frames; what moves the bytes knows nothing of it.

use std::io::{Read, Write};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::errors::{Code, Error};
use crate::options::Options;

pub(crate) type Config = Arc<ClientConfig>;

pub(crate) fn config(options: &Options) -> Result<Option<Config>, Error> {
    if !options.tls {
        return Ok(None);
    }
    let wrong = |detail: String| Error::new(Code::Tls, detail);
    let mut roots = RootCertStore::empty();
    if let Some(path) = &options.tls_ca {
        let found = CertificateDer::pem_file_iter(path).map_err(|why| wrong(format!("tls_ca: {path}: {why}")))?;
        for each in found {
            let each = each.map_err(|why| wrong(format!("tls_ca: {path}: {why}")))?;
            roots.add(each).map_err(|why| wrong(format!("tls_ca: {path}: {why}")))?;
        }
        if roots.is_empty() {
            return Err(wrong(format!("tls_ca: {path} holds no certificate")));
        }
    } else {
        // One that cannot be read is none; where there is none at all, every worker's is refused, and says so.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let made = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(|why| wrong(format!("tls: {why}")))?;
    let made = made.with_root_certificates(roots);
    let (Some(cert), Some(key)) = (&options.tls_cert, &options.tls_key) else { return Ok(Some(Arc::new(made.with_no_client_auth()))) };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
    let chain = chain.map_err(|why| wrong(format!("tls_cert: {cert}: {why}")))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|why| wrong(format!("tls_key: {key}: {why}; a key with a pass phrase is not read")))?;
    let both = made.with_client_auth_cert(chain, secret);
    both.map(|made| Some(Arc::new(made))).map_err(|why| wrong(format!("tls_cert {cert}, tls_key {key}: {why}")))
}

pub(crate) struct Session(Box<ClientConnection>);

impl Session {
    pub(crate) fn new(config: &Config, host: &str) -> Result<Session, String> {
        let name = ServerName::try_from(host.to_string()).map_err(|why| format!("{host}: {why}"))?;
        ClientConnection::new(config.clone(), name).map(|made| Session(Box::new(made))).map_err(|why| why.to_string())
    }

    pub(crate) fn shaking(&self) -> bool {
        self.0.is_handshaking()
    }

    /// Bytes from the peer; what they held goes to `plain`.
    pub(crate) fn receive(&mut self, mut raw: &[u8], plain: &mut Vec<u8>) -> Result<(), String> {
        while !raw.is_empty() {
            self.0.read_tls(&mut raw).map_err(|why| why.to_string())?;
            self.0.process_new_packets().map_err(|why| why.to_string())?;
            let mut piece = [0; 4096];
            // WouldBlock: no more for now. The end of the stream shows in the socket too.
            while let Ok(size @ 1..) = self.0.reader().read(&mut piece) {
                plain.extend_from_slice(&piece[..size]);
            }
        }
        Ok(())
    }

    pub(crate) fn send(&mut self, plain: &[u8]) -> Result<(), String> {
        self.0.writer().write_all(plain).map_err(|why| why.to_string())
    }

    /// What is to go to the peer.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) {
        while self.0.wants_write() {
            if self.0.write_tls(out).is_err() {
                return; // a Vec takes everything
            }
        }
    }
}
