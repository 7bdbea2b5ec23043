/* SPDX-License-Identifier: Apache-2.0 */
/* aws/cred_reply: answers of STS and of the container endpoint. */
#include "fs/aws/cred_reply.h"

#include <errno.h>

#include "fuzz.h"

static void check(int r, struct cred_reply *reply)
{
    if (r != 0) {
        CHECK(r == -EPROTO || r == -ENOMEM);
        CHECK(reply->cred.access_key == NULL && reply->cred.secret == NULL);
        return;
    }
    /* Credentials that can sign, or an error whose text may go to a terminal. */
    if (reply->code[0] == '\0') {
        CHECK(reply->cred.access_key != NULL && reply->cred.access_key[0] != '\0');
        CHECK(reply->cred.secret != NULL && reply->cred.secret[0] != '\0');
    }
    CHECK(fuzz_is_printable(reply->code) && fuzz_is_printable(reply->message));
    cred_reply_done(reply);
    CHECK(reply->cred.access_key == NULL && reply->cred.secret == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_free_ char *text = fuzz_copy(data, size);
    struct cred_reply reply = {0};

    check(cred_reply_parse(text, size, &reply), &reply);
    reply = (struct cred_reply){0};
    check(cred_reply_json(text, size, &reply), &reply);
    reply = (struct cred_reply){0};
    check(cred_reply_xml(text, size, &reply), &reply);
    return 0;
}
