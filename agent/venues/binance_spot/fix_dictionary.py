"""Binance's FIX messages for order entry and drop copy, as its own dictionary has them; a test compares every field with it. Data alone."""

from __future__ import annotations

from agent.transport.fix.dictionary import Dictionary

HEADER = "49! 56! 34! 52! 25000"
FIELDS = """
11 ClOrdID STRING
14 CumQty QTY
17 ExecID INT
18 ExecInst CHAR 6
31 LastPx PRICE
32 LastQty QTY
34 MsgSeqNum SEQNUM
37 OrderID INT
38 OrderQty QTY
39 OrdStatus CHAR 0 1 2 4 6 8 A C
40 OrdType CHAR 1 2 3 4 P
41 OrigClOrdID STRING
44 Price PRICE
45 RefSeqNum INT
49 SenderCompID STRING
52 SendingTime UTCTIMESTAMP
54 Side CHAR 1 2
55 Symbol STRING
56 TargetCompID STRING
58 Text STRING
59 TimeInForce CHAR 1 3 4
60 TransactTime UTCTIMESTAMP
66 ListID INT
70 AllocID INT
73 NoOrders NUMINGROUP
95 RawDataLength LENGTH
96 RawData DATA
98 EncryptMethod INT 0
103 OrdRejReason INT 99
108 HeartBtInt INT
111 MaxFloor QTY
112 TestReqID STRING
136 NoMiscFees NUMINGROUP
137 MiscFeeAmt QTY
138 MiscFeeCurr STRING
139 MiscFeeType INT 4
141 ResetSeqNumFlag BOOLEAN Y N
148 Headline STRING
150 ExecType CHAR 0 4 5 8 F C
151 LeavesQty QTY
152 CashOrderQty QTY
211 PegOffsetValue FLOAT
371 RefTagID INT
372 RefMsgType STRING
373 SessionRejectReason INT 0 1 2 3 5 6 8 10 13 14 15 16 99
429 ListStatusType INT 2 4 5 100
431 ListOrderStatus INT 3 6 7
434 CxlRejResponseTo CHAR 1
530 MassCancelRequestType CHAR 1
531 MassCancelResponse CHAR 0 1
532 MassCancelRejectReason INT 99
533 TotalAffectedOrders INT
553 Username STRING
574 MatchType STRING 1 4
636 WorkingIndicator BOOLEAN
835 PegMoveType INT 1
836 PegOffsetType CHAR 3
839 PeggedPrice PRICE
847 TargetStrategy INT
1003 TradeID INT
1057 AggressorIndicator BOOLEAN Y N
1094 PegPriceType CHAR 4 5
1100 TriggerType CHAR 4
1101 TriggerAction CHAR 1
1102 TriggerPrice PRICE
1107 TriggerPriceType CHAR 2
1109 TriggerPriceDirection CHAR U D
1385 ContingencyType INT 1 2
1386 ListRejectReason INT 99
6136 ReqID STRING
7940 StrategyID INT
9406 DropCopyFlag BOOLEAN
25000 RecvWindow FLOAT
25001 SelfTradePreventionMode CHAR 1 2 3 4 5 6
25002 CancelRestrictions INT 1 2
25003 NoLimitIndicators NUMINGROUP
25004 LimitType CHAR 1 2
25005 LimitCount INT
25006 LimitMax INT
25007 LimitResetInterval INT
25008 LimitResetIntervalResolution CHAR s m h d
25009 TriggerTrailingDeltaBips INT
25010 NoListTriggeringInstructions NUMINGROUP
25011 ListTriggerType CHAR 1 2 3
25012 ListTriggerTriggerIndex INT
25013 ListTriggerAction CHAR 1 2
25014 ClListID STRING
25015 OrigClListID STRING
25016 ErrorCode INT
25017 CumQuoteQty QTY
25018 OrderCreationTime UTCTIMESTAMP
25021 WorkingFloor INT 1 2 3
25022 TrailingTime UTCTIMESTAMP
25023 WorkingTime UTCTIMESTAMP
25024 PreventedMatchID INT
25025 PreventedExecutionPrice PRICE
25026 PreventedExecutionQty QTY
25027 TradeGroupID INT
25028 CounterSymbol STRING
25029 CounterOrderID INT
25030 PreventedQty QTY
25031 LastPreventedQty QTY
25032 SOR BOOLEAN
25033 OrderCancelRequestAndNewOrderSingleMode INT 1 2
25034 CancelClOrdID STRING
25035 MessageHandling INT 1 2
25036 ResponseMode INT 1 2
25037 UUID STRING
25038 OrderRateLimitExceededMode INT 1 2
25045 ExecutionReportType INT 1 2
25046 OPO BOOLEAN
25050 SBESchemaID INT
25051 SBESchemaVersion INT
25056 ExpiryReason INT 1 2 3 4 5 6 7 8
"""
MESSAGES = """
0 Heartbeat 112
1 TestRequest 112!
3 Reject 45 371 372 373 25016 58
5 Logout 58
8 ExecutionReport 17 11 41 37 38 40! 54! 55! 18 44 1100 1101 1102 1107 1109 25009 211 1094 835 836 839 59 60 25018 111 66 152 847 7940 25001 150! 14! 151 25017 1057 1003 31 32! 39! 70 574 25021 636 25023 25022 25024 25025 25026 25027 25028 25029 25030 25031 25032 136(137! 138! 139!) 103 25016 58 25056
9 OrderCancelReject 11! 41 37 25015 66 55! 25002 434! 25016! 58!
XCN OrderCancelRequestAndNewOrderSingle 25033! 25038 37 25034 41 25002 11! 38 40! 18 44 1100 1101 1102 1107 1109 25009 211 1094 835 836 54! 55! 59 111 152 847 7940 25001
A Logon 98 108! 95 96 141 553 25035 25036 25045 9406 25037 25050 25051
D NewOrderSingle 11! 38 40! 18 44 1100 1101 1102 1107 1109 25009 211 1094 835 836 54! 55! 59 111 152 847 7940 25001 25032
E NewOrderList 25014! 1385! 25046 73(11! 38 40! 18 44 1100 1101 1102 1107 1109 25009 211 1094 835 836 54! 55! 59 111 152 847 7940 25001 25010(25011! 25012! 25013!))
F OrderCancelRequest 11! 41 37 25015 66 55! 25002
N ListStatus 55 66 25014 25015 1385 429! 431! 1386 60 73(11! 55! 37 25010(25011! 25012! 25013!) 103 25016 58)
q OrderMassCancelRequest 55! 11! 530!
r OrderMassCancelReport 55! 11! 530! 531! 532 533 25016 58
XAK OrderAmendKeepPriorityRequest 11! 41 37 55! 38!
XAR OrderAmendReject 11! 41 37 55! 38! 25016! 58!
XLQ LimitQuery 6136!
XLR LimitResponse 6136! 25003!(25004! 25005! 25006! 25007 25008)
B News 148!
"""
DICTIONARY = Dictionary(HEADER, FIELDS, MESSAGES)
