/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BACKEND_TPM_WIRE_H
#define BACKEND_TPM_WIRE_H

/* swtpm's control channel (tpm_ioctl of libtpms' emulators): big endian, a number and a body. */
enum tpm_control {
    TPM_INIT = 2,
    TPM_SHUTDOWN = 3,
    TPM_SET_LOCALITY = 5,
    TPM_GET_STATE = 12,
    TPM_SET_STATE = 13,
    TPM_STOP = 14,
    TPM_SET_DATA = 16,
    TPM_SET_BUFFER = 17,
};
enum { TPM_INIT_FORGET = 1 }; /* what is volatile */
#endif
