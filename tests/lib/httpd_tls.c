/* SPDX-License-Identifier: Apache-2.0 */
/* TLS for the scripted HTTP server, with a self-signed certificate made at start. */
#include "httpd.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <openssl/pem.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static void die(const char *what)
{
    fprintf(stderr, "httpd_tls: %s\n", what);
    abort();
}

static void add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    if (!ext || !X509_add_ext(cert, ext, -1))
        die("certificate extension");
    X509_EXTENSION_free(ext);
}

static X509 *make_certificate(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    X509_NAME *name = cert ? X509_get_subject_name(cert) : NULL;
    if (!name || !X509_set_version(cert, 2) || !ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) ||
        !X509_gmtime_adj(X509_getm_notBefore(cert), -3600) ||
        !X509_gmtime_adj(X509_getm_notAfter(cert), 3600) ||
        !X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"s3efs test",
                                    -1, -1, 0) ||
        !X509_set_issuer_name(cert, name) || !X509_set_pubkey(cert, key))
        die("certificate");
    add_extension(cert, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(cert, NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost");
    if (!X509_sign(cert, key, EVP_sha256()))
        die("signing the certificate");
    return cert;
}

static void *tls_open(void *ctx, int fd)
{
    SSL *ssl = SSL_new(ctx);
    if (!ssl || !SSL_set_fd(ssl, fd))
        die("SSL_new");
    if (SSL_accept(ssl) == 1)
        return ssl;
    SSL_free(ssl);
    return NULL;
}

static long tls_read(void *conn, void *buf, size_t len)
{
    return SSL_read(conn, buf, (int)(len > INT32_MAX ? INT32_MAX : len));
}

static long tls_write(void *conn, const void *buf, size_t len)
{
    return SSL_write(conn, buf, (int)(len > INT32_MAX ? INT32_MAX : len));
}

static void tls_close(void *conn)
{
    SSL_shutdown(conn);
    SSL_free(conn);
}

/* The one context in use: these servers are started one at a time. */
static SSL_CTX *the_context;

struct httpd *httpd_start_tls(const char *pem_path)
{
    signal(SIGPIPE, SIG_IGN); /* SSL_write() has no MSG_NOSIGNAL */
    EVP_PKEY *key = EVP_EC_gen("P-256");
    if (!key)
        die("EVP_EC_gen");
    X509 *cert = make_certificate(key);
    FILE *f = fopen(pem_path, "w");
    if (!f || !PEM_write_X509(f, cert) || fclose(f) != 0)
        die("writing the certificate");
    the_context = SSL_CTX_new(TLS_server_method());
    if (!the_context || SSL_CTX_use_certificate(the_context, cert) != 1 ||
        SSL_CTX_use_PrivateKey(the_context, key) != 1)
        die("SSL_CTX");
    X509_free(cert);
    EVP_PKEY_free(key);
    const struct httpd_io io = {tls_open, tls_read, tls_write, tls_close, the_context};
    return httpd_start_io(&io);
}

void httpd_stop_tls(struct httpd *h)
{
    httpd_stop(h);
    SSL_CTX_free(the_context);
    the_context = NULL;
}
