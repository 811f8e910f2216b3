/* When the certificates of a file end. */
#include "server/certificate.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define DAY_S            86400
#define CERTIFICATES_MAX 4096 /* the bundle of a distribution has about 150 */

/* False: OpenSSL cannot read the time. */
static bool end_of(const X509 *certificate, int64_t *ret_unix_s)
{
    int days = 0, seconds = 0;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    const bool ok = epoch != NULL &&
                    ASN1_TIME_diff(&days, &seconds, epoch, X509_get0_notAfter(certificate)) == 1;
    ASN1_TIME_free(epoch);
    if (ok)
        *ret_unix_s = (int64_t)days * DAY_S + seconds;
    return ok;
}

int sf_certificate_end(const char *path, enum sf_certificate_use use, int64_t *ret_unix_s,
                       struct sf_error *err)
{
    BIO *file = BIO_new_file(path, "r");
    int64_t end_s = 0;
    unsigned count = 0;
    X509 *certificate;
    while (file != NULL && count < CERTIFICATES_MAX &&
           (certificate = PEM_read_bio_X509(file, NULL, NULL, NULL)) != NULL) {
        int64_t this_s = 0;
        const bool known = end_of(certificate, &this_s);
        const bool before = use == SF_CERTIFICATE_CHAIN ? this_s < end_s : this_s > end_s;
        if (known && (count == 0 || before))
            end_s = this_s;
        count += known ? 1 : 0;
        X509_free(certificate);
    }
    BIO_free(file);
    ERR_clear_error();
    if (count == 0)
        return sf_error_set(err, -EINVAL, "%s cannot be read, or has no certificate (PEM)", path);
    *ret_unix_s = end_s;
    return 0;
}
