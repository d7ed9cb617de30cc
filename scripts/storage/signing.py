"""A client for S3, IAM, STS and Ceph's admin API, signed with Signature Version 4: only what setting up a server takes.

It shares no code with what is tested against these servers.
"""

import datetime
import hashlib
import hmac
import http.client
import urllib.parse

from processes import Failed


class Refused(Failed):
    """Any answer but a 2xx."""

    def __init__(self, what, status, body):
        super().__init__("%s: HTTP %d %s" % (what, status, body.decode(errors="replace")[:1000]))
        self.status = status


def quoted(text, safe=""):
    return urllib.parse.quote(text, safe="-_.~" + safe)


class Client:
    def __init__(self, endpoint, key, secret, region="us-east-1"):
        self.endpoint, self.key, self.secret, self.region = urllib.parse.urlsplit(endpoint), key, secret, region

    def signature(self, day, service, text):
        digest = ("AWS4" + self.secret).encode()
        for part in (day, self.region, service, "aws4_request", text):
            digest = hmac.new(digest, part.encode(), hashlib.sha256).digest()
        return digest.hex()

    def call(self, method, path, query=None, body=b"", service="s3", kind=None, extra=None):
        """The body of the answer; raises `Refused`, and what http.client raises."""
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        hashed = hashlib.sha256(body).hexdigest()
        headers = {"host": self.endpoint.netloc, "x-amz-content-sha256": hashed, "x-amz-date": now, **(extra or {})}
        if kind:
            headers["content-type"] = kind
        names = ";".join(sorted(headers))
        arguments = "&".join("%s=%s" % (quoted(k), quoted(v)) for k, v in sorted((query or {}).items()))
        lines = ["%s:%s" % (name, headers[name]) for name in sorted(headers)]
        request = "\n".join([method, quoted(path, "/"), arguments, *lines, "", names, hashed])
        scope = "%s/%s/%s/aws4_request" % (now[:8], self.region, service)
        text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(request.encode()).hexdigest()])
        headers["authorization"] = "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s" % (
            self.key, scope, names, self.signature(now[:8], service, text))
        connection = http.client.HTTPConnection(self.endpoint.hostname, self.endpoint.port, timeout=60)
        try:
            connection.request(method, quoted(path, "/") + ("?" + arguments if arguments else ""), body, headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if not 200 <= answer.status < 300:
            raise Refused("%s %s" % (method, path), answer.status, data)
        return data

    def act(self, service, action, **parameters):
        """An action of IAM or STS. Ceph 16 reads "+" in a form as a plus sign, so a space is %20."""
        form = urllib.parse.urlencode(dict(parameters, Action=action), quote_via=urllib.parse.quote)
        return self.call("POST", "/", body=form.encode(), service=service, kind="application/x-www-form-urlencoded")
