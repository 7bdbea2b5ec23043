/* SPDX-License-Identifier: Apache-2.0 */
/* Where a mount's control socket is. */
#include "control/control.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/err.h"
#include "base/str.h"

int control_path(const char *mountpoint, char *out, size_t size)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    unsigned char digest[EVP_MAX_MD_SIZE];
    char hash[17];
    int n;

    if (EVP_Digest(mountpoint, strlen(mountpoint), digest, NULL, EVP_sha256(), NULL) != 1)
        return err_set(-EIO, "SHA-256 is not available");
    str_hex(digest, 8, hash);
    if (geteuid() == 0)
        n = snprintf(out, size, "/run/s3efs/%s.sock", hash);
    else if (runtime != NULL && runtime[0] == '/')
        n = snprintf(out, size, "%s/s3efs/%s.sock", runtime, hash);
    else
        n = snprintf(out, size, "/tmp/s3efs-%u/%s.sock", (unsigned)geteuid(), hash);
    if (n < 0 || (size_t)n >= size)
        return err_set(-ENAMETOOLONG, "the path of the control socket is too long");
    return 0;
}
