/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_VNC_INT_H
#define BACKEND_VNC_INT_H
#include "backend/vnc.h"
#include <pthread.h>
#include <rfb/rfb.h>

enum { VNC_PASSWORD_MAX = 8, VNC_HANDED = 32 };

struct vnc {
    struct vnc_how how;
    char where[300], *certificate;
    char password[VNC_PASSWORD_MAX + 2];
    char *passwords[2];
    bool is_path;
    int listener, stop, wake; /* two eventfds */
    pthread_t thread;
    bool has_thread;
    struct vnc_tls *tls;
    rfbScreenInfoPtr screen;
    u32 width, height;
    u32 *shown; /* in the library's order of bytes: red first */
    u32 buttons, shifts; /* shifts: the Shift keys that viewers hold down, bits 0 and 1 */
    bool caps;           /* a viewer's Caps Lock is on, as far as we saw it pressed */
    bool has_shape;
    u32 shape_version;

    pthread_mutex_t lock; /* guards what is handed to the thread, the rest is the thread's */
    int handed[VNC_HANDED];
    u32 nhanded;
    char *cut; /* text for the viewers' clipboards; NULL: none */
};

void vnc_wake(struct vnc *v);

/* vnc_library.c: the library's functions, there after vnc_library() was 0 */
struct vnc_library {
    void (*log_enable)(int on);
    rfbScreenInfoPtr (*get_screen)(int *argc, char **argv, int width, int height, int bits,
                                   int samples, int bytes);
    void (*new_framebuffer)(rfbScreenInfoPtr s, char *pixels, int width, int height, int bits,
                            int samples, int bytes);
    void (*mark_rect)(rfbScreenInfoPtr s, int x1, int y1, int x2, int y2);
    rfbClientPtr (*new_client)(rfbScreenInfoPtr s, rfbSocket fd);
    rfbBool (*process_events)(rfbScreenInfoPtr s, long us);
    void (*shutdown_server)(rfbScreenInfoPtr s, rfbBool clients);
    void (*screen_cleanup)(rfbScreenInfoPtr s);
    rfbBool (*check_password)(rfbClientPtr c, const char *response, int len);
    rfbClientIteratorPtr (*clients)(rfbScreenInfoPtr s);
    rfbClientPtr (*clients_next)(rfbClientIteratorPtr i);
    void (*clients_end)(rfbClientIteratorPtr i);
    void (*send_cut)(rfbScreenInfoPtr s, char *text, int len);
    void (*send_cut_utf8)(rfbScreenInfoPtr s, char *text, int len, char *latin, int latin_len);
    void (*set_cursor)(rfbScreenInfoPtr s, rfbCursorPtr c);
    void (*free_cursor)(rfbCursorPtr c);
};
extern struct vnc_library rfb;
int vnc_library(struct err *e);

/* vnc_desk.c: clipboard and size; the server's thread */
void vnc_desk(struct vnc *v);     /* hooks of the library */
void vnc_desk_cut(struct vnc *v); /* what is handed goes out */

void vnc_shape(struct vnc *v); /* vnc_shape.c: the guest's pointer, if it is another one now */

/*
 * vnc_tls.c.  Viewers that encrypt: they are met here, by VeNCrypt, and the server sees plain ones.  hand
 * gets the server's end of each, any thread; it owns the descriptor.
 */
struct vnc_tls;
int vnc_tls_new(struct vnc_tls **t, const char *file, void (*hand)(void *arg, int fd), void *arg,
                struct err *e);
void vnc_tls_take(struct vnc_tls *t, int fd); /* a connection of somebody; owned now */
void vnc_tls_free(struct vnc_tls *t);         /* all are sent away; t may be NULL */
#endif
