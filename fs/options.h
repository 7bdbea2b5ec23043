/* SPDX-License-Identifier: Apache-2.0 */
/* What a mount was asked to be: source, mount point and options, checked. options.def is the table of the
 * options. Plain values; owned strings. Threads: none, then read only. */
#ifndef S3EFS_OPTIONS_H
#define S3EFS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/macros.h"

#define CONFIG_OPTIONS_MAX 128
#define CONFIG_GROUPS_MAX 16

enum config_source { CONFIG_S3, CONFIG_DIR };
enum config_sse { CONFIG_SSE_NONE, CONFIG_SSE_AES256, CONFIG_SSE_KMS, CONFIG_SSE_C };
enum config_commit { CONFIG_COMMIT_CLOSE, CONFIG_COMMIT_LOCAL, CONFIG_COMMIT_FSYNC };
enum config_weak { CONFIG_WEAK_WARN, CONFIG_WEAK_REFUSE };
enum config_devices { CONFIG_DEVICES_STORE, CONFIG_DEVICES_REFUSE };
enum config_excl { CONFIG_EXCL_OPEN, CONFIG_EXCL_STRICT, CONFIG_EXCL_CLOSE };
/* A name that is not known is asked of the bucket in any case: the first three are one. */
enum config_lookupcache { CONFIG_LOOKUP_ALL, CONFIG_LOOKUP_POS, CONFIG_LOOKUP_POSITIVE, CONFIG_LOOKUP_NONE };
enum config_lock { CONFIG_LOCK_NONE, CONFIG_LOCK_FLOCK, CONFIG_LOCK_POSIX, CONFIG_LOCK_ALL }; /* what stays here */
enum config_log { CONFIG_LOG_AUTO, CONFIG_LOG_STDERR, CONFIG_LOG_SYSLOG };

#define CONFIG_REQUESTS_MIN 4 /* uploads that take long leave some for what is asked meanwhile */

struct config {
    /* The source, taken apart */
    char *source; /* as shown: "s3://bucket/prefix", "file:///dir" */
    enum config_source kind;
    char *bucket; /* CONFIG_S3 */
    char *prefix; /* CONFIG_S3: "" or ends in '/' */
    char *path;   /* CONFIG_DIR */
    char *mountpoint;
    int fuse_fd; /* > 0: handed over, mounted already; mountpoint is then the name that it has in /proc */

    /* options.def */
    char *endpoint, *region, *profile, *ca_bundle, *bucket_owner, *state_prefix;
    char *sse_kms_key_id, *sse_c_key_file, *storage_class, *cache_dir, *posix_user, *root_creation, *fsname;
    bool path_style, requester_pays, read_only, takeover, passthrough, allow_other, default_permissions, noac, nolock, nocto, nouser_xattr, soft,
        foreground;
    bool nosubtype;
    unsigned weak, sse, commit, lookupcache, excl, devices, local_lock, log_target, log_level; /* enums above, enum log_level */
    uint32_t uid, gid, umask, file_mode, dir_mode;
    int64_t acregmin_s, acregmax_s, acdirmin_s, acdirmax_s, drain_timeout_s, flush_after_s;
    unsigned timeo, retrans, threads, max_requests; /* at least CONFIG_REQUESTS_MIN */
    uint64_t cache_size, cache_free, mem_limit;
    struct { /* posix_user, where it is given */
        uint32_t uid, gid, groups[CONFIG_GROUPS_MAX];
        size_t n_groups;
    } user;
    struct { /* root_creation, where it is given */
        uint32_t uid, gid, mode;
    } root;
    char none; /* where options without a field point */

    char *kernel_options; /* "nodev,noexec" for the kernel, or NULL */
    char *ignored;        /* "nfsvers,tls": accepted without effect, or NULL */
    bool given[CONFIG_OPTIONS_MAX]; /* by the table's order */
};

/* The defaults. 0 or -ENOMEM. config_done() in any case. */
_must_check_ int config_init(struct config *c);
void config_done(struct config *c); /* idempotent; legal on a zeroed struct */
#define _cleanup_config_ _cleanup_(config_done)

/* "a,b=c,d" (a backslash takes the meaning from a comma in a value). sloppy: what is unknown is ignored, as
 * mount(8)'s -s asks. -EINVAL with err_text(). */
_must_check_ int config_options(struct config *c, const char *list, bool sloppy);
bool config_given(const struct config *c, const char *option);

/* "bucket", "bucket/prefix", "s3://bucket/prefix", "file:///dir". -EINVAL. */
_must_check_ int config_source(struct config *c, const char *text);
/* What only all options together tell: actimeo, noac, sse's key, cache_dir's default. source and mountpoint are
 * set. -EINVAL. */
_must_check_ int config_finish(struct config *c);
int config_access_point(struct config *c); /* its part of posix_user and root_creation */
/* Nanoseconds after which a soft mount gives up; 0: hard. */
int64_t config_soft_timeout_ns(const struct config *c);

/* The table, for help and tests. */
struct config_option {
    const char *name, *arg, *initial, *help;
    bool has_value; /* must have one */
};
/* false past the end. */
bool config_option_at(unsigned i, struct config_option *ret);
void config_help(struct buf *out); /* the options part of `s3efs mount --help` */

#endif
