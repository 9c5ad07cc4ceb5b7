/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The encryption of QEMU's early formats, qcow and qcow2 with "crypt method 1": AES-128-CBC of
 * each sector, the key is the passphrase's first 16 bytes, the sector's number in the disk its
 * IV.  Nothing tells whether the passphrase is right.  Read only.
 */
#include "image/cipher.h"
#include "image/image_int.h"
#include <errno.h>
#include <openssl/crypto.h>

#define AES_KEY 16

int image_old_aes(struct image *im, struct cipher **c, struct err *e)
{
    u8 pass[IMAGE_KEY_MAX] = { 0 };
    int n = image_key_get(im->how->key, image_path(im), pass, sizeof(pass), e);

    if (n < 0)
        return n;
    if (n && n <= AES_KEY + 1 && pass[n - 1] == '\n') /* a file that an editor ended with a line */
        pass[n - 1] = 0;
    *c = cipher_new("aes-cbc-plain64", pass, AES_KEY, image_path(im), e);
    OPENSSL_cleanse(pass, sizeof(pass));
    im->sealed = 512;
    return *c ? 0 : -ENOMEM;
}
