/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images that other products wrote, with the hash of what is in them.  They lie beside the
 * project (../shared/corpus); without them this test is skipped.
 */
#include "base/bytes.h"
#include "image/image.h"
#include "tests/check.h"
#include <errno.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define BLOCK 65536
#define RAW_MAX (256ull << 20) /* bigger disks are compared by their blocks with content */

static const char *corpus;
static char dir[] = "/dev/shm/mimic-corpus-XXXXXX";

struct row {
    char *cell[12];
};
enum { FILE_, STORED, SIZE = 6, RAW, BLOCKS, CROSS, DECODER, FACTS };

static const char *in_corpus(const char *name)
{
    static char path[5000];

    snprintf(path, sizeof(path), "%s/%s", corpus, name);
    return path;
}

static char *slurp(const char *path)
{
    FILE *f = fopen(path, "re");
    char *text = NULL;
    size_t n = 0;

    if (!f || getdelim(&text, &n, 0, f) < 0)
        text = NULL;
    if (f)
        fclose(f);
    return text;
}

static void copy_plain(const char *from, const char *to)
{
    gzFile in = gzopen(from, "rb"); /* reads plain files as they are */
    FILE *out = fopen(to, "we");
    static u8 b[BLOCK];
    int n;

    while (in && out && (n = gzread(in, b, sizeof(b))) > 0)
        fwrite(b, 1, (size_t)n, out);
    if (in)
        gzclose(in);
    if (out)
        fclose(out);
}

static void copy_out(const char *from, const char *to, const char *stored)
{
    char command[9000];

    if (!strcmp(stored, "bz2")) {
        snprintf(command, sizeof(command), "bzip2 -dc '%s' > '%s'", from, to);
        CHECK_EQ(system(command), 0);
    } else {
        copy_plain(from, to);
    }
}

static void hex(EVP_MD_CTX *c, char *text)
{
    u8 d[32];

    EVP_DigestFinal_ex(c, d, NULL);
    for (int i = 0; i < 32; i++)
        sprintf(text + 2 * i, "%02x", d[i]);
}

/* Both hashes of an image; the whole one only for small disks. */
static int hash(struct image *im, char *raw, char *blocks)
{
    EVP_MD_CTX *a = EVP_MD_CTX_new(), *b = EVP_MD_CTX_new();
    static u8 block[BLOCK], zero[BLOCK];
    u64 size = image_size(im), off = 0;
    int r = 0;

    EVP_DigestInit_ex(a, EVP_sha256(), NULL);
    EVP_DigestInit_ex(b, EVP_sha256(), NULL);
    while (!r && off < size) {
        u64 len = 0, n = min_u64(BLOCK, size - off);
        struct iovec v = { block, n };
        enum image_kind kind;
        u8 number[8];

        r = image_map(im, off, &len, &kind, NULL);
        if (!r && size > RAW_MAX && kind == IMAGE_ZERO && len > BLOCK) {
            off += len & ~(u64)(BLOCK - 1);
            continue;
        }
        memset(block, 0, BLOCK);
        r = r ? r : image_read(im, off, &v, 1, n);
        if (size <= RAW_MAX)
            EVP_DigestUpdate(a, block, n);
        put_le64(number, off / BLOCK);
        if (memcmp(block, zero, BLOCK)) {
            EVP_DigestUpdate(b, number, 8);
            EVP_DigestUpdate(b, block, BLOCK);
        }
        off += n;
    }
    hex(a, raw);
    hex(b, blocks);
    EVP_MD_CTX_free(a);
    EVP_MD_CTX_free(b);
    return r;
}

/* Reads of odd places and lengths give the same bytes as reading through. */
static void odd_reads(struct image *im, const char *name)
{
    static u8 whole[1 << 20], part[100000];
    u64 n = min_u64(image_size(im), sizeof(whole));
    struct iovec v = { whole, n };
    u32 seed = 7;

    if (image_read(im, 0, &v, 1, n))
        return;
    for (int i = 0; i < 200; i++) {
        u64 off, len;

        seed = seed * 1103515245 + 12345;
        off = (seed >> 4) % n;
        seed = seed * 1103515245 + 12345;
        len = min_u64(1 + (seed >> 4) % sizeof(part), n - off);
        struct iovec pv[3] = { { part, len / 3 },
                               { part + len / 3, len / 3 },
                               { part + 2 * (len / 3), len - 2 * (len / 3) } };
        if (image_read(im, off, pv, 3, len) || memcmp(part, whole + off, len)) {
            printf("# %s: %llu at %llu is not the same\n", name, (unsigned long long)len,
                   (unsigned long long)off);
            check_failed_now = 1;
            return;
        }
    }
}

static bool is_name(const char *file, const char *end)
{
    size_t n = strlen(file), m = strlen(end);

    return n >= m && !strcmp(file + n - m, end);
}

static void check_row(const struct row *row, const char *path)
{
    const char *name = row->cell[FILE_];
    struct image_key key = { .file = in_corpus("peer-made/passphrase.txt") };
    struct image_open how = { .path = path, .key = &key };
    bool content = strlen(row->cell[RAW]) == 64 || strlen(row->cell[BLOCKS]) == 64;
    char raw[65], blocks[65];
    struct err e = { 0 };
    struct image *im;
    int r = image_open(&im, &how, &e);

    if (r) {
        if (content && r != -EMEDIUMTYPE && r != -EOPNOTSUPP) {
            printf("# %s: %s\n", name, e.text);
            check_failed_now = 1;
        } else {
            printf("# %s: refused: %s\n", name, e.text);
        }
        CHECK(e.text[0]);
        return;
    }
    if (!content) {
        printf("# %s: opened, but has no right content\n", name);
        check_failed_now = 1;
    } else {
        r = hash(im, raw, blocks);
        printf("# %s: %s, %llu bytes\n", name, image_format_name(im),
               (unsigned long long)image_size(im));
        CHECK_EQ(r, 0);
        CHECK_EQ(image_size(im), strtoull(row->cell[SIZE], NULL, 10));
        if (strlen(row->cell[RAW]) == 64 && image_size(im) <= RAW_MAX)
            CHECK_TEXT(raw, row->cell[RAW]);
        if (strlen(row->cell[BLOCKS]) == 64)
            CHECK_TEXT(blocks, row->cell[BLOCKS]);
        odd_reads(im, name);
    }
    image_close(im, NULL);
}

static void each_row(const char *top, void (*fn)(const struct row *, const char *path))
{
    char index[5000], *text, *line, *next;

    snprintf(index, sizeof(index), "%s/INDEX.tsv", corpus);
    text = slurp(index);
    for (line = text; line && *line; line = next) {
        struct row row = { 0 };
        char path[5000], *cell = line;

        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        for (int i = 0; i < 12; i++)
            row.cell[i] = cell ? strsep(&cell, "\t") : (char *)"";
        if (strncmp(row.cell[FILE_], top, strlen(top)))
            continue;
        snprintf(path, sizeof(path), "%s/%s", dir, strrchr(row.cell[FILE_], '/') + 1);
        if (strcmp(row.cell[STORED], "plain") && strrchr(path, '.'))
            *strrchr(path, '.') = 0;
        fn(&row, path);
    }
    free(text);
}

static void unpack_row(const struct row *row, const char *path)
{
    char from[5000];

    snprintf(from, sizeof(from), "%s/%s", corpus, row->cell[FILE_]);
    copy_out(from, path, row->cell[STORED]);
}

static void try_row(const struct row *row, const char *path)
{
    if (is_name(path, ".txt") || is_name(path, ".xva") ||
        strstr(row->cell[FACTS], "extent or data file"))
        return;
    check_row(row, path);
}

static int drop(const char *path, const struct stat *st, int kind, struct FTW *f)
{
    return remove(path);
}

static void images(const char *top)
{
    corpus = check_corpus();
    if (!corpus)
        return;
    CHECK(mkdtemp(dir) != NULL);
    each_row(top, unpack_row);
    each_row(top, try_row);
    nftw(dir, drop, 8, FTW_DEPTH | FTW_PHYS);
    memset(dir + strlen(dir) - 6, 'X', 6);
}
static void images_of_products(void)
{
    images("disk/");
}
static void images_of_tools(void)
{
    images("peer-made/");
}

int main(void)
{
    CASE(images_of_products);
    CASE(images_of_tools);
    return check_end();
}
