// WSO2's databridge, as far as members of Apache Stratos use it: the facts of ThriftSecureEventTransmissionService and
// ThriftEventTransmissionService.

exception ThriftAuthenticationException { 1: required string message }
exception ThriftDifferentStreamDefinitionAlreadyDefinedException { 1: required string message }
exception ThriftMalformedStreamDefinitionException { 1: required string message }
exception ThriftStreamDefinitionException { 1: required string message }
exception ThriftSessionExpiredException { 1: required string message }
exception ThriftUndefinedEventTypeException { 1: required string message }

struct ThriftEventBundle {
    1: required string sessionId
    2: required i32 eventNum
    3: optional list<i32> intAttributeList
    4: optional list<i64> longAttributeList
    5: optional list<double> doubleAttributeList
    6: optional list<bool> boolAttributeList
    7: optional list<string> stringAttributeList
    8: optional map<i32, map<string, string>> arbitraryDataMapMap
}

// The port for log-ins, which in WSO2's products has TLS.
service Secure {
    string connect(1: string userName, 2: string password) throws (1: ThriftAuthenticationException ae)
    void disconnect(1: string sessionId)
    string defineStream(1: string sessionId, 2: string streamDefinition) throws (
        1: ThriftDifferentStreamDefinitionAlreadyDefinedException ade,
        2: ThriftMalformedStreamDefinitionException mtd,
        3: ThriftStreamDefinitionException tde,
        4: ThriftSessionExpiredException se)
    void publish(1: ThriftEventBundle eventBundle) throws (
        1: ThriftUndefinedEventTypeException ue,
        2: ThriftSessionExpiredException se)
}

// The plain port: it takes events of sessions that were begun on the other one, and no log-in.
service Plain {
    string defineStream(1: string sessionId, 2: string streamDefinition) throws (
        1: ThriftDifferentStreamDefinitionAlreadyDefinedException ade,
        2: ThriftMalformedStreamDefinitionException mtd,
        3: ThriftStreamDefinitionException tde,
        4: ThriftSessionExpiredException se)
    void publish(1: ThriftEventBundle eventBundle) throws (
        1: ThriftUndefinedEventTypeException ue,
        2: ThriftSessionExpiredException se)
}
