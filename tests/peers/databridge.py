"""A receiver of WSO2's databridge on a real Thrift server (thriftpy2), for members of Apache Stratos to publish to.

usage: databridge.py PORT [--without-login] [--idle MILLISECONDS]

With --without-login it is the plain port of WSO2's products, which has no `connect`. A connection that is idle for longer than
--idle is closed; without it, none is.

Listens on 127.0.0.1, tells each call on standard output as a line of JSON, and takes commands on standard input, a line each:

    user NAME PASSWORD   who may log in; admin admin at first
    refuse KIND          different, malformed or definition: defineStream fails so; nothing: it does not
    expire               ends every session
    forget               ends every session and forgets every stream

Each command is answered with {"done": COMMAND}. The end of standard input ends it.
"""

import json
import logging
import os
import sys
import threading
import uuid

import thriftpy2
from thriftpy2.protocol.binary import TBinaryProtocolFactory
from thriftpy2.server import TThreadedServer
from thriftpy2.thrift import TProcessor
from thriftpy2.transport import TServerSocket
from thriftpy2.transport.buffered import TBufferedTransportFactory

IDL = thriftpy2.load(os.path.join(os.path.dirname(os.path.abspath(__file__)), "databridge.thrift"), "databridge_thrift")
# What the databridge knows as types of attributes, and the list of a bundle each is in.
LISTS = {
    "INT": "intAttributeList",
    "LONG": "longAttributeList",
    "DOUBLE": "doubleAttributeList",
    "BOOL": "boolAttributeList",
    "STRING": "stringAttributeList",
}

one_line_at_a_time = threading.Lock()


def say(**line):
    with one_line_at_a_time:
        print(json.dumps(line), flush=True)


class Receiver:
    def __init__(self):
        self.user = ("admin", "admin")
        self.refusal = None
        self.sessions = set()
        self.streams = {}

    def connect(self, userName, password):
        good = (userName, password) == self.user
        say(call="connect", user=userName, taken=good)
        if not good:
            raise IDL.ThriftAuthenticationException("wrong userName or password")
        session = str(uuid.uuid4())
        self.sessions.add(session)
        return session

    def disconnect(self, sessionId):
        say(call="disconnect", known=sessionId in self.sessions)
        self.sessions.discard(sessionId)

    def defineStream(self, sessionId, streamDefinition):
        say(call="defineStream", known=sessionId in self.sessions, definition=streamDefinition)
        if sessionId not in self.sessions:
            raise IDL.ThriftSessionExpiredException("no such session")
        refusals = {
            "different": IDL.ThriftDifferentStreamDefinitionAlreadyDefinedException,
            "malformed": IDL.ThriftMalformedStreamDefinitionException,
            "definition": IDL.ThriftStreamDefinitionException,
        }
        if self.refusal:
            raise refusals[self.refusal]("refused as " + self.refusal)
        try:
            definition = json.loads(streamDefinition)
            stream = "%s:%s" % (definition["name"], definition["version"])
            attributes = [
                (attribute["name"], LISTS[attribute["type"]])
                for part in ("metaData", "correlationData", "payloadData")
                for attribute in definition.get(part) or []
            ]
        except (ValueError, KeyError, TypeError) as error:
            raise IDL.ThriftMalformedStreamDefinitionException(repr(error))
        self.streams[stream] = attributes
        return stream

    def publish(self, eventBundle):
        if eventBundle.sessionId not in self.sessions:
            say(call="publish", taken=False)
            raise IDL.ThriftSessionExpiredException("no such session")
        lists = {name: list(getattr(eventBundle, name) or []) for name in LISTS.values()}
        stream = lists["stringAttributeList"][0] if lists["stringAttributeList"] else None
        if stream not in self.streams:
            say(call="publish", taken=False)
            raise IDL.ThriftUndefinedEventTypeException("no such stream")
        # As EventConverter of the databridge: the stream and the time lead their lists, attributes follow in their order.
        del lists["stringAttributeList"][0]
        fault, event = None, {}
        time = lists["longAttributeList"].pop(0) if lists["longAttributeList"] else None
        for name, kind in self.streams[stream]:
            if lists[kind]:
                event[name] = lists[kind].pop(0)
            else:
                fault = "no value for " + name
        if eventBundle.eventNum != 1:
            fault = "eventNum %r" % eventBundle.eventNum
        if any(lists.values()):
            fault = "more values than attributes"
        say(call="publish", taken=True, fault=fault, stream=stream, time=time, event=event)


def obey(receiver, line):
    words = line.split()
    if words[0] == "user":
        receiver.user = (words[1], words[2])
    elif words[0] == "refuse":
        receiver.refusal = words[1] if len(words) > 1 else None
    elif words[0] == "expire":
        receiver.sessions.clear()
    elif words[0] == "forget":
        receiver.sessions.clear()
        receiver.streams.clear()
    else:
        raise ValueError(line)
    say(done=line)


def main():
    port, options = int(sys.argv[1]), sys.argv[2:]
    service = IDL.Plain if "--without-login" in options else IDL.Secure
    receiver = Receiver()
    # Strict, and without frames.
    if "--idle" in options:
        # Each connection it closes would be an error with a traceback.
        logging.disable()
    idle = int(options[options.index("--idle") + 1]) if "--idle" in options else None
    server = TThreadedServer(
        TProcessor(service, receiver),
        TServerSocket("127.0.0.1", port, client_timeout=idle),
        iprot_factory=TBinaryProtocolFactory(strict_read=True, strict_write=True),
        itrans_factory=TBufferedTransportFactory(),
        daemon=True,
    )
    # Before it says so, rather than in the thread.
    server.trans.listen()
    server.trans.listen = lambda: None
    threading.Thread(target=server.serve, daemon=True).start()
    say(listening=port)
    for line in sys.stdin:
        obey(receiver, line.strip())
    os._exit(0)


main()
