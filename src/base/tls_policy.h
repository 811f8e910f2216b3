/* base/tls_policy.h - what TLS may be spoken with, for everybody who sets up a connection by OpenSSL: one place, since a
 * server, a client and the tool that differ would not understand each other. TLS 1.2 or later. */
#ifndef SF_BASE_TLS_POLICY_H
#define SF_BASE_TLS_POLICY_H

/* Of TLS 1.2 what has authenticated encryption and forward secrecy (a cipher list of OpenSSL); TLS 1.3 has nothing else. */
#define SF_TLS12_CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20"

#endif
