/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PACKAGE_SIGNATURE_H
#define PACKAGE_SIGNATURE_H
#include "package/format.h"
#include "package/source.h"

/*
 * The signature of a manifest (DSP0243 1.1, 5.1): a .cert file with one line
 * "SHA256(web.mf)= hex", RSA PKCS#1 v1.5 over the manifest, and the signer's certificates.
 * What is right and what is not is told apart: a right signature of a stranger is still right.
 */
struct signature {
    bool there;   /* the package is signed */
    bool right;   /* the signature is the certificate's, and of this manifest */
    bool trusted; /* the chain leads to an authority that is trusted; times not counted */
    bool expired; /* a certificate of the chain is not valid any more, or not yet */
    char method[16], subject[256], issuer[256], until[40];
    char why[200]; /* what is wrong with the chain; or "" */
};

/* What stands in the .cert file; an error only when it cannot be understood. */
int signature_verify(const struct source_file *manifest, const struct source_file *cert,
                     const char *trust, struct signature *to, struct err *e);
/* The signature of the package at path; to->there is false when it has none. */
int package_signature(const char *path, const struct package_options *o, struct signature *to,
                      struct err *e);
/* The .cert text of a manifest; the length alone is known before. */
int signature_make(const struct package_options *o, const char *method, const char *name,
                   const void *manifest, size_t n, struct buf *to, struct err *e);
int signature_length(const struct package_options *o, const char *method, const char *name,
                     size_t *n, struct err *e);
/* By their names beside the descriptor, or in the archive; NULL: there is none */
const struct source_file *source_companion(struct source *s, const char *suffix);
#endif
