/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest operations: VIX commands relayed over TCLO, each with a user's name and password, which
 * the tools check in the guest.  After open-vm-tools' vixCommands.h and foundryMsg.c.
 */
#include "backend/vmtools_int.h"
#include "base/bytes.h"
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VIX_MAGIC = (int)0xd00d0001, VIX_VERSION = 5 };
enum { VIX_FLAG_REQUEST = 0x01, VIX_FLAG_TO_GUEST = 0x04, VIX_FLAG_BINARY = 0x80 };
enum { VIX_HEAD = 23, VIX_REQUEST = VIX_HEAD + 28, VIX_PASSWORD = 1, VIX_ANONYMOUS = 2 };

/* Name and password, in base64: obscured, as the tools want them. */
static int vix_credentials(const struct agent_ask *ask, struct buf *to)
{
    size_t user = strlen(ask->user), password = ask->password ? strlen(ask->password) : 0;
    u8 plain[512] = { 0 }, text[700];
    int n;

    if (user + password + 2 > sizeof(plain))
        return -EINVAL;
    memcpy(plain, ask->user, user);
    if (password)
        memcpy(plain + user + 1, ask->password, password);
    n = EVP_EncodeBlock(text, plain, (int)(user + password + 2));
    OPENSSL_cleanse(plain, sizeof(plain));
    return buf_add(to, text, (size_t)n + 1);
}

static int vix_request(struct task *k, u32 opcode, const void *body, u32 n, struct buf *to)
{
    struct buf secret = { 0 };
    u8 *head, pair[8] = { 0 };
    int r = vix_credentials(k->ask, &secret);

    if (!r)
        r = buf_text(to, "Vix_1_Relayed_Command \"mimic%llu\"", (unsigned long long)k->id);
    head = r ? NULL : buf_room(to, 1 + VIX_REQUEST);
    if (head) {
        head++; /* the name ends with 0 */
        put_le32(pair, (u32)strlen(k->ask->user));
        put_le32(pair + 4, k->ask->password ? (u32)strlen(k->ask->password) : 0);
        put_le32(head, (u32)VIX_MAGIC);
        put_le16(head + 4, VIX_VERSION);
        put_le32(head + 6, (u32)(VIX_REQUEST + n + sizeof(pair) + secret.len));
        put_le32(head + 10, VIX_REQUEST);
        put_le32(head + 14, n);
        put_le32(head + 18, (u32)(sizeof(pair) + secret.len));
        head[22] = VIX_FLAG_REQUEST | VIX_FLAG_TO_GUEST |
                   (opcode == VIX_HGFS_PACKET ? VIX_FLAG_BINARY : 0);
        put_le32(head + 23, opcode);
        put_le64(head + 35, k->id);
        put_le32(head + 47, VIX_PASSWORD);
        r = buf_add(to, body, n);
        r = r ? r : buf_add(to, pair, sizeof(pair));
        r = r ? r : buf_add(to, secret.p, secret.len);
    } else {
        r = r ? r : -ENOMEM;
    }
    if (secret.p)
        OPENSSL_cleanse(secret.p, secret.len);
    buf_fini(&secret);
    return r;
}

int vix_push(struct task *k, u32 opcode, const void *body, u32 n)
{
    struct buf b = { 0 };
    int r;

    if (!k->ask->user)
        return -EACCES;
    r = vix_request(k, opcode, body, n, &b);
    r = r ? r : vmtools_push(k->tools, k->id, b.p, (u32)b.len);
    if (b.p)
        OPENSSL_cleanse(b.p, b.len);
    buf_fini(&b);
    return r;
}

/* "error more text", and "#" before bytes */
i64 vix_answer(bool ok, const u8 **p, u32 *n)
{
    char *end;
    i64 error;

    if (!ok || !*p)
        return -EPROTO;
    error = strtoll((const char *)*p, &end, 10); /* the answer ends with a 0 of ours */
    if (end == (const char *)*p || *end != ' ')
        return -EPROTO;
    strtoll(end + 1, &end, 10);
    if (*end == ' ')
        end++;
    if (*end == '#')
        end++;
    *n -= (u32)((const u8 *)end - *p);
    *p = (const u8 *)end;
    return error >= 0 ? error & 0xffffffff : -EPROTO;
}

static const struct {
    u32 error;
    int r;
    const char *text;
} vix_errors[] = {
    { 4, -ENOENT, "there is no such file in the guest" },
    { 5, -EBUSY, "the guest's tools are busy" },
    { 6, -EOPNOTSUPP, "the guest's tools cannot do that" },
    { 8, -ENOSPC, "no room in the guest" },
    { 13, -EACCES, "the user may not do that in the guest" },
    { 3015, -EACCES, "the user may not do that in the guest" },
    { 3016, -EOPNOTSUPP, "guest operations are switched off in the guest" },
    { 3050, -EACCES, "the guest knows no such user and password" },
    { 20003, -EACCES, "the user may not do that in the guest" },
};

void vix_fail(struct task *k, i64 error)
{
    char text[80];

    for (u32 i = 0; i < LEN(vix_errors); i++)
        if (error == vix_errors[i].error) {
            task_done(k, vix_errors[i].r, 0, vix_errors[i].text);
            return;
        }
    if (error == -EACCES)
        snprintf(text, sizeof(text), "the guest's tools want a user and a password");
    else if (error < 0)
        snprintf(text, sizeof(text), "the guest's tools answered with nonsense");
    else
        snprintf(text, sizeof(text), "the guest's tools answered with error %lld",
                 (long long)error);
    task_done(k, error < 0 ? (int)error : -EIO, 0, text);
}

int shell_quote(struct buf *to, const char *word)
{
    int r = buf_add(to, "'", 1);

    for (; *word && !r; word++)
        r = *word == '\'' ? buf_add(to, "'\\''", 4) : buf_add(to, word, 1);
    return r ? r : buf_add(to, "'", 1);
}
