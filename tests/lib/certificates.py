"""Certificates for the tests, by openssl. Python standard library only."""
import os
import subprocess


def openssl(*args, cwd):
    subprocess.run(["openssl", *args], cwd=cwd, check=True, capture_output=True)


def make_certificates(directory):
    """ca and other are authorities; server (127.0.0.1, ids.example), expired and client are signed by ca."""
    for ca in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{ca}.key", "-out",
                f"{ca}.pem", "-days", "2", "-subj", f"/CN={ca}", cwd=directory)
    for name, names in (("server", "IP:127.0.0.1,DNS:ids.example"), ("expired", "IP:127.0.0.1"), ("client", "DNS:client")):
        with open(os.path.join(directory, f"{name}.ext"), "w") as file:
            file.write(f"subjectAltName={names}\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out",
                f"{name}.csr", "-subj", f"/CN={name}", cwd=directory)
        # A certificate cannot be made already expired with every openssl: -days 0 ends it now.
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out",
                f"{name}.pem", "-days", "0" if name == "expired" else "2", "-extfile", f"{name}.ext", cwd=directory)
