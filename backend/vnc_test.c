/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A viewer written here, byte by byte after RFC 6143, and the server. */
#include "backend/keys.h"
#include "backend/vnc.h"
#include "base/bytes.h"
#include "tests/check.h"
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;
static struct {
    u32 width, height, colour;
    u16 code, typed[32]; /* typed: as scan codes of set 1 */
    bool down;
    u32 x, y, buttons, keys, moves;
    i32 wheel;
    char cut[64];
    u32 want_width, want_height;
    struct vnc_picture part; /* instead of all of it: wide 0: nothing is new */
    bool parts;
    struct vnc_shape shape;
} world;

static int world_picture(void *arg, struct vnc_picture *p)
{
    pthread_mutex_lock(&lock);
    *p = world.part;
    p->width = world.width;
    p->height = world.height;
    if (!world.parts) {
        p->wide = p->width;
        p->high = p->height;
    }
    p->pixel = malloc(4ul * p->wide * p->high + 1);
    for (u32 i = 0; i < p->wide * p->high; i++)
        p->pixel[i] = world.colour;
    pthread_mutex_unlock(&lock);
    return 0;
}
static void world_shape(void *arg, struct vnc_shape *s)
{
    pthread_mutex_lock(&lock);
    *s = world.shape;
    pthread_mutex_unlock(&lock);
}
static void world_key(void *arg, u16 code, bool down)
{
    pthread_mutex_lock(&lock);
    world.code = code;
    world.down = down;
    world.typed[world.keys++ % LEN(world.typed)] = (u16)(code | (down ? 0 : 0x80));
    pthread_cond_signal(&told);
    pthread_mutex_unlock(&lock);
}
static void world_pointer(void *arg, u32 x, u32 y, i32 wheel, u32 buttons)
{
    pthread_mutex_lock(&lock);
    world.x = x, world.y = y, world.wheel = wheel, world.buttons = buttons;
    world.moves++;
    pthread_cond_signal(&told);
    pthread_mutex_unlock(&lock);
}

static void world_cut(void *arg, const char *text)
{
    pthread_mutex_lock(&lock);
    snprintf(world.cut, sizeof(world.cut), "%s", text);
    pthread_cond_signal(&told);
    pthread_mutex_unlock(&lock);
}
static int world_resize(void *arg, u32 width, u32 height)
{
    pthread_mutex_lock(&lock);
    world.want_width = width, world.want_height = height;
    pthread_cond_signal(&told);
    pthread_mutex_unlock(&lock);
    return 0;
}

static struct vnc_how how_to(const char *at)
{
    memset(&world, 0, sizeof(world));
    world.width = 100;
    world.height = 50;
    world.colour = 0x123456;
    return (struct vnc_how){ .at = at,
                             .name = "a guest",
                             .picture = world_picture,
                             .shape = world_shape,
                             .key = world_key,
                             .pointer = world_pointer,
                             .cut = world_cut,
                             .resize = world_resize };
}

static char path[64];
static SSL *tls; /* the viewer's, while it has one */

static int viewer_connect(void)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    strcpy(a.sun_path, path);
    CHECK_EQ(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}
static void viewer_get(int fd, void *to, size_t n)
{
    u8 *p = to;

    for (ssize_t got; n && (got = tls ? SSL_read(tls, p, (int)n) : read(fd, p, n)) > 0; p += got)
        n -= (size_t)got;
    CHECK_EQ(n, 0);
}
static void viewer_put(int fd, const void *from, size_t n)
{
    CHECK_EQ(tls ? SSL_write(tls, from, (int)n) : write(fd, from, n), (ssize_t)n);
}

/* What follows "none": the server's size and name. */
static void viewer_start(int fd, u16 *width, u16 *height, char name[32])
{
    u8 b[32];
    u32 n;

    viewer_get(fd, b, 4);
    CHECK_EQ(b[3], 0);
    viewer_put(fd, "\1", 1);
    viewer_get(fd, b, 24);
    *width = (u16)(b[0] << 8 | b[1]);
    *height = (u16)(b[2] << 8 | b[3]);
    n = b[23];
    viewer_get(fd, name, n);
    name[n] = 0;
}

/* The first steps; security: 1 none, 2 password.  The server's size and name. */
static void viewer_hello(int fd, u8 security, u16 *width, u16 *height, char name[32])
{
    u8 b[32];
    u32 n;

    viewer_get(fd, b, 12);
    CHECK(!memcmp(b, "RFB 003.008\n", 12));
    viewer_put(fd, "RFB 003.008\n", 12);
    viewer_get(fd, b, 1);
    n = b[0];
    viewer_get(fd, b, n);
    CHECK(n && memchr(b, security, n));
    viewer_put(fd, &security, 1);
    if (security == 1)
        viewer_start(fd, width, height, name);
}

/* VeNCrypt up to the TLS handshake; the kind that is offered must be this one. */
static void viewer_encrypts(int fd, u32 kind, const char *trust)
{
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    u8 b[8];

    viewer_hello(fd, 19, NULL, NULL, NULL);
    viewer_get(fd, b, 2);
    CHECK_EQ(be16(b), 2);
    viewer_put(fd, "\0\2", 2);
    viewer_get(fd, b, 6);
    CHECK_EQ(b[0], 0);
    CHECK_EQ(b[1], 1);
    CHECK_EQ(be32(b + 2), kind);
    viewer_put(fd, b + 2, 4);
    viewer_get(fd, b, 1);
    CHECK_EQ(b[0], 1);
    if (trust) {
        CHECK_EQ(SSL_CTX_load_verify_locations(c, trust, NULL), 1);
        SSL_CTX_set_verify(c, SSL_VERIFY_PEER, NULL);
    } else {
        CHECK_EQ(SSL_CTX_set_cipher_list(c, "aNULL:@SECLEVEL=0"), 1);
        SSL_CTX_set_max_proto_version(c, TLS1_2_VERSION);
    }
    tls = SSL_new(c);
    SSL_set_fd(tls, fd);
    CHECK_EQ(SSL_connect(tls), 1);
    SSL_CTX_free(c);
}
static void viewer_leaves(int fd)
{
    SSL_free(tls);
    tls = NULL;
    close(fd);
}

/* Asks for everything, raw; the first pixel of the update's first rectangle. */
static u32 viewer_update(int fd, u16 *width, u16 *height)
{
    static const u8 raw[] = { 2, 0, 0, 1, 0, 0, 0, 0 };
    static const u8 ask[] = { 3, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff };
    u8 b[16];
    u32 pixel = 0, *all;

    viewer_put(fd, raw, sizeof(raw));
    viewer_put(fd, ask, sizeof(ask));
    viewer_get(fd, b, 4);
    CHECK_EQ(b[0], 0);
    for (u32 i = 0, n = (u32)b[2] << 8 | b[3]; i < n; i++) {
        u32 wide, high;

        viewer_get(fd, b, 12);
        wide = (u32)b[4] << 8 | b[5];
        high = (u32)b[6] << 8 | b[7];
        CHECK_EQ(b[11], 0);
        all = malloc(4ul * wide * high + 4);
        viewer_get(fd, all, 4ul * wide * high);
        if (!i)
            pixel = all[0];
        *width = (u16)wide;
        *height = (u16)high;
        free(all);
    }
    return pixel;
}

static void a_picture_is_seen(void)
{
    struct vnc_how how = how_to(path);
    struct err e = { 0 };
    struct vnc *v = NULL;
    u16 width, height;
    char name[32];
    u32 pixel = 0;
    int fd;

    CHECK_EQ(vnc_open(&v, &how, &e), 0);
    CHECK_TEXT(vnc_where(v), path);
    fd = viewer_connect();
    viewer_hello(fd, 1, &width, &height, name);
    CHECK_TEXT(name, "a guest");
    for (u32 i = 0; i < 100 && pixel != 0x563412; i++) /* it may be asked before it is drawn */
        pixel = viewer_update(fd, &width, &height) & 0xffffff;
    CHECK_EQ(pixel, 0x563412); /* red first */
    close(fd);
    vnc_close(v);
    CHECK(access(path, F_OK));
}

struct seen { /* a rectangle of an update */
    u32 x, y, wide, high, encoding;
    u8 data[4 * 64 * 64];
};

/* The next update with a rectangle of that encoding; only what is new is asked for. */
static void viewer_wait(int fd, u32 encoding, struct seen *s)
{
    static const u8 ask[] = { 3, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff };
    u8 b[16];

    for (s->encoding = ~0u; s->encoding != encoding;) {
        u32 n;

        viewer_put(fd, ask, sizeof(ask));
        viewer_get(fd, b, 4);
        n = (u32)b[2] << 8 | b[3];
        for (u32 i = 0; i < n; i++) {
            struct seen one;
            size_t size;

            viewer_get(fd, b, 12);
            one.x = (u32)b[0] << 8 | b[1];
            one.y = (u32)b[2] << 8 | b[3];
            one.wide = (u32)b[4] << 8 | b[5];
            one.high = (u32)b[6] << 8 | b[7];
            one.encoding = (u32)b[8] << 24 | (u32)b[9] << 16 | (u32)b[10] << 8 | b[11];
            size = 4ul * one.wide * one.high;
            if (one.encoding) /* -239: the pixels, then a mask */
                size += (one.wide + 7) / 8 * one.high;
            CHECK(size <= sizeof(one.data));
            viewer_get(fd, one.data, size);
            if (one.encoding == encoding)
                *s = one;
        }
    }
}

static void only_what_is_new_is_sent(void)
{
    static const u32 red_and_clear[4] = { 0xffff0000, 0, 0x80004000, 0x10100000 };
    static const u8 cursors[] = { 2, 0, 0, 2, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x11 };
    struct vnc_how how = how_to(path);
    struct err e = { 0 };
    struct vnc *v = NULL;
    u16 width, height;
    struct seen s;
    char name[32];
    int fd;

    world.width = world.height = 64;
    CHECK_EQ(vnc_open(&v, &how, &e), 0);
    fd = viewer_connect();
    viewer_hello(fd, 1, &width, &height, name);
    while ((viewer_update(fd, &width, &height) & 0xffffff) != 0x563412 || width != 64)
        continue;
    pthread_mutex_lock(&lock);
    world.parts = true;
    world.part = (struct vnc_picture){ .x = 10, .y = 20, .wide = 8, .high = 4 };
    world.colour = 0x0000ff;
    pthread_mutex_unlock(&lock);
    viewer_wait(fd, 0, &s);
    CHECK_EQ(s.x, 10);
    CHECK_EQ(s.y, 20);
    CHECK_EQ(s.wide, 8);
    CHECK_EQ(s.high, 4);
    CHECK_EQ(s.data[2], 0xff);
    viewer_put(fd, cursors, sizeof(cursors));
    pthread_mutex_lock(&lock);
    world.part.wide = 0;
    world.shape = (struct vnc_shape){
        .shown = true, .version = 1, .width = 2, .height = 2, .hot_x = 1, .pixel = red_and_clear
    };
    pthread_mutex_unlock(&lock);
    do
        viewer_wait(fd, 0xffffff11, &s);
    while (s.wide != 2);
    CHECK_EQ(s.x, 1);
    CHECK_EQ(s.y, 0);
    CHECK_EQ(s.data[0], 0xff);
    CHECK_EQ(s.data[8 + 1], 0x7f); /* half of it was there */
    CHECK_EQ(s.data[16], 0x80);
    CHECK_EQ(s.data[17], 0x80); /* what is hardly there is not */
    close(fd);
    vnc_close(v);
}

/* A server with a viewer in it: the viewer's end. */
static int viewer_of(struct vnc **v, u16 *width, u16 *height)
{
    struct vnc_how how = how_to(path);
    struct err e = { 0 };
    char name[32];
    int fd;

    CHECK_EQ(vnc_open(v, &how, &e), 0);
    fd = viewer_connect();
    viewer_hello(fd, 1, width, height, name);
    return fd;
}

static void keys_and_pointer_arrive(void)
{
    static const u8 key[] = { 4, 1, 0, 0, 0, 0, 0xff, 0x52 };
    static const u8 odd[] = { 4, 1, 0, 0, 0x01, 0x00, 0x20, 0xac };
    static const u8 move[] = { 5, 1 | 4 | 8, 0, 99, 0, 0 };
    struct vnc *v = NULL;
    u16 width, height;
    int fd = viewer_of(&v, &width, &height);

    while (viewer_update(fd, &width, &height), width != 64 && width != 100)
        continue;
    viewer_put(fd, odd, sizeof(odd));
    viewer_put(fd, key, sizeof(key));
    viewer_put(fd, move, sizeof(move));
    pthread_mutex_lock(&lock);
    while (!world.moves)
        pthread_cond_wait(&told, &lock);
    CHECK_EQ(world.keys, 1); /* the euro sign has no key */
    CHECK_EQ(world.code, 0xe048);
    CHECK(world.down);
    CHECK_EQ(world.x, 0xffff);
    CHECK_EQ(world.y, 0);
    CHECK_EQ(world.buttons, 3);
    CHECK_EQ(world.wheel, 1);
    pthread_mutex_unlock(&lock);
    close(fd);
    vnc_close(v);
}

static void viewer_key(int fd, u16 symbol, bool down)
{
    u8 key[] = { 4, down, 0, 0, 0, 0, (u8)(symbol >> 8), (u8)symbol };

    viewer_put(fd, key, sizeof(key));
}

/* What a viewer types that sends no Shift, and what it types with Shift or Caps Lock. */
static void capitals_bring_their_shift(void)
{
    static const struct {
        u16 symbol;
        bool down;
    } typed[] = { { 'A', 1 },    { 'A', 0 }, { '!', 1 },    { '!', 0 },    { 0xffe2, 1 },
                  { '!', 1 },    { '!', 0 }, { 0xffe2, 0 }, { 0xffe5, 1 }, { 0xffe5, 0 },
                  { 'A', 1 },    { 'A', 0 }, { '{', 1 },    { '{', 0 },    { 0xffe5, 1 },
                  { 0xffe5, 0 }, { 'Z', 1 }, { 'Z', 0 },    { 'a', 1 },    { 'a', 0 } };
    static const u8 want[] = { 0x2a, 0x1e, 0xaa, 0x9e, 0x2a, 0x02, 0xaa, 0x82, 0x36, 0x02,
                               0x82, 0xb6, 0x3a, 0xba, 0x1e, 0x9e, 0x2a, 0x1a, 0xaa, 0x9a,
                               0x3a, 0xba, 0x2a, 0x2c, 0xaa, 0xac, 0x1e, 0x9e };
    struct vnc *v = NULL;
    u16 width, height;
    int fd;

    world.keys = 0;
    fd = viewer_of(&v, &width, &height);
    for (u32 i = 0; i < LEN(typed); i++)
        viewer_key(fd, typed[i].symbol, typed[i].down);
    pthread_mutex_lock(&lock);
    while (world.keys < LEN(want))
        pthread_cond_wait(&told, &lock);
    for (u32 i = 0; i < LEN(want); i++)
        CHECK_EQ(world.typed[i], want[i]);
    pthread_mutex_unlock(&lock);
    close(fd);
    vnc_close(v);
}

static void write_password(char file[64], const char *password)
{
    FILE *f;

    snprintf(file, 64, "/tmp/mimic-vnc-test-%d.password", (int)getpid());
    f = fopen(file, "w");
    fprintf(f, "%s\n", password);
    fclose(f);
}

static void a_password_is_asked(void)
{
    char file[64];
    struct vnc_how how = how_to(path);
    struct err e = { 0 };
    struct vnc *v = NULL;
    u8 challenge[16], result[4];
    int fd;

    write_password(file, "secret");
    how.password = file;
    CHECK_EQ(vnc_open(&v, &how, &e), 0);
    fd = viewer_connect();
    viewer_hello(fd, 2, NULL, NULL, NULL);
    viewer_get(fd, challenge, 16);
    viewer_put(fd, challenge, 16); /* not encrypted: wrong */
    viewer_get(fd, result, 4);
    CHECK_EQ(result[3], 1);
    close(fd);
    vnc_close(v);
    write_password(file, "much too long");
    CHECK_EQ(vnc_open(&v, &how, &e), -EINVAL);
    unlink(file);
    CHECK_EQ(vnc_open(&v, &how, &e), -ENOENT);
}

/* ---- encrypted ---- */

/* A key and its own signature, in one file. */
static void make_certificate(const char *file)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    FILE *f = fopen(file, "w");

    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const u8 *)"test", -1,
                               -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    CHECK(X509_sign(x, key, EVP_sha256()) > 0);
    PEM_write_X509(f, x);
    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
    X509_free(x);
    EVP_PKEY_free(key);
}

static void a_certificate_is_shown(void)
{
    char file[64], name[32];
    struct vnc_how how = how_to(path);
    struct err e = { 0 };
    struct vnc *v = NULL;
    u16 width, height;
    u32 pixel = 0;
    int fd, plain;

    snprintf(file, sizeof(file), "/tmp/mimic-vnc-test-%d.pem", (int)getpid());
    make_certificate(file);
    how.tls = file;
    CHECK_EQ(vnc_open(&v, &how, &e), 0);
    plain = viewer_connect(); /* waits, and is in nobody's way */
    fd = viewer_connect();
    viewer_encrypts(fd, 260, file);
    viewer_start(fd, &width, &height, name);
    CHECK_TEXT(name, "a guest");
    for (u32 i = 0; i < 100 && pixel != 0x563412; i++)
        pixel = viewer_update(fd, &width, &height) & 0xffffff;
    CHECK_EQ(pixel, 0x563412);
    viewer_leaves(fd);
    vnc_close(v);
    close(plain);
    unlink(file);
    CHECK_EQ(vnc_open(&v, &how, &e), -ENOENT);
    fclose(fopen(file, "w"));
    CHECK_EQ(vnc_open(&v, &how, &e), -EINVAL);
    unlink(file);
}

/* The other kinds; a viewer that does not encrypt. */
static void only_encrypted_viewers_come_in(void)
{
    char file[64];
    struct vnc_how how = how_to(path);
    struct err e = { 0 };
    struct vnc *v = NULL;
    u8 b[16], result[4];
    int fd;

    write_password(file, "secret");
    how.password = file;
    how.tls = "anonymous";
    CHECK_EQ(vnc_open(&v, &how, &e), 0);
    fd = viewer_connect();
    viewer_encrypts(fd, 258, NULL);
    viewer_get(fd, b, 16);
    viewer_put(fd, b, 16);
    viewer_get(fd, result, 4);
    CHECK_EQ(result[3], 1);
    viewer_leaves(fd);
    fd = viewer_connect();
    viewer_get(fd, b, 12);
    viewer_put(fd, "RFB 003.008\n", 12);
    viewer_get(fd, b, 2);
    CHECK_EQ(b[0], 1);
    CHECK_EQ(b[1], 19);
    viewer_put(fd, "\1", 1);
    CHECK_EQ(read(fd, b, 1), 0);
    viewer_leaves(fd);
    vnc_close(v);
    unlink(file);
}

/* ---- what desktops share ---- */

static void wait_told(const u32 *number, const char *text)
{
    pthread_mutex_lock(&lock);
    while (number ? !*number : !*text)
        pthread_cond_wait(&told, &lock);
    pthread_mutex_unlock(&lock);
}

static void clipboard_and_size_are_shared(void)
{
    static const u8 cut[] = { 6, 0, 0, 0, 0, 0, 0, 4, 'n', 0xe9, 'e', '!' };
    static const u8 size[] = { 251, 0, 4, 0, 3, 0, 1, 0, 0, 0, 0, 1,
                               0,   0, 0, 0, 4, 0, 3, 0, 0, 0, 0, 0 };
    static const u8 wants[] = { 2, 0, 0, 2, 0, 0, 0, 0, 0xff, 0xff, 0xfe, 0xcc };
    struct vnc_how how = how_to(path);
    struct err e = { 0 };
    struct vnc *v = NULL;
    u16 width, height;
    char name[32];
    u8 b[16];
    int fd;

    CHECK_EQ(vnc_open(&v, &how, &e), 0);
    fd = viewer_connect();
    viewer_hello(fd, 1, &width, &height, name);
    viewer_put(fd, cut, sizeof(cut));
    wait_told(NULL, world.cut);
    CHECK_TEXT(world.cut, "n\xc3\xa9"
                          "e!");
    vnc_cut(v, "\xc3\xa4 \xe2\x82\xac");
    viewer_get(fd, b, 11);
    CHECK_EQ(b[0], 3);
    CHECK_EQ(be32(b + 4), 3);
    CHECK(!memcmp(b + 8, "\xe4 ?", 3));
    viewer_put(fd, wants, sizeof(wants));
    viewer_put(fd, size, sizeof(size));
    wait_told(&world.want_width, NULL);
    CHECK_EQ(world.want_width, 1024);
    CHECK_EQ(world.want_height, 768);
    close(fd);
    vnc_close(v);
}

static void places_are_checked(void)
{
    struct vnc_how how = how_to("here");
    struct vnc *a = NULL, *b = NULL;
    struct err e = { 0 };

    CHECK_EQ(vnc_open(&a, &how, &e), -EINVAL);
    how.at = "127.0.0.1:70000";
    CHECK_EQ(vnc_open(&a, &how, &e), -EINVAL);
    how.at = "/nowhere/at/all";
    CHECK_EQ(vnc_open(&a, &how, &e), -ENOENT);
    how.at = NULL;
    CHECK_EQ(vnc_open(&a, &how, &e), 0);
    CHECK_EQ(vnc_open(&b, &how, &e), 0); /* the next port */
    CHECK(strcmp(vnc_where(a), vnc_where(b)));
    vnc_close(b);
    how.at = vnc_where(a);
    CHECK_EQ(vnc_open(&b, &how, &e), -EADDRINUSE);
    vnc_close(a);
}

static void symbols_are_keys(void)
{
    bool shift;

    CHECK_EQ(keys_symbol('a', &shift), 0x1e);
    CHECK(!shift);
    CHECK_EQ(keys_symbol('A', &shift), 0x1e);
    CHECK(shift);
    CHECK_EQ(keys_symbol('!', &shift), 0x02);
    CHECK_EQ(keys_symbol(0xffbe, &shift), 0x3b);
    CHECK_EQ(keys_symbol(0xffc9, &shift), 0x58);
    CHECK_EQ(keys_symbol(0xffe4, &shift), 0xe01d);
    CHECK_EQ(keys_symbol(0xe4, &shift), 0);
}

int main(void)
{
    snprintf(path, sizeof(path), "/tmp/mimic-vnc-test-%d", (int)getpid());
    CASE(symbols_are_keys);
    CASE(a_picture_is_seen);
    CASE(only_what_is_new_is_sent);
    CASE(keys_and_pointer_arrive);
    CASE(capitals_bring_their_shift);
    CASE(a_password_is_asked);
    CASE(a_certificate_is_shown);
    CASE(only_encrypted_viewers_come_in);
    CASE(clipboard_and_size_are_shared);
    CASE(places_are_checked);
    return check_end();
}
